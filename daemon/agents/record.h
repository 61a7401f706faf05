// An agent's record: agents_dir/NAME.toml, as docs/protocol.md shows it.
//
// Two steps. parse_record() is a pure function over the text: shape, types, bounds, names. Nothing
// of the host enters, so it is what the fuzzer drives. settle_record() adds what only this host
// knows (uids, the executable behind a path, the tier) and applies the tier's rules. What both
// leave is a Record that is valid by itself; clashes between records are RecordSet's
// (record_set.h). Both collect all problems. All functions may be called from any thread;
// settle_record() may block on the file system and the user database.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/agents/accounts.h"
#include "daemon/agents/diagnostic.h"
#include "daemon/agents/limits.h"
#include "daemon/agents/matrix.h"
#include "daemon/agents/tiers.h"
#include "daemon/peers/peer.h"
#include "keystore/bytes.h"

namespace badged::agents {

enum class Sensitivity { public_data, internal, confidential, restricted };
enum class Impact { low, moderate, high, critical };
enum class Exposure { isolated, internal, partner, internet };
std::string_view to_string(Sensitivity sensitivity);  // "public", "internal", ...
std::string_view to_string(Impact impact);
std::string_view to_string(Exposure exposure);
std::optional<Sensitivity> sensitivity_from(std::string_view word);
std::optional<Impact> impact_from(std::string_view word);
std::optional<Exposure> exposure_from(std::string_view word);

using Date = std::chrono::year_month_day;
std::string to_string(const Date& date);  // "2027-03-01"

// A third party's agent (C16): one tier stricter. Only `name` is required.
struct Vendor {
  std::string name;
  std::optional<Date> contract_ends;
  std::optional<bool> audit_access;
  std::optional<std::uint32_t> breach_notice_hours;
};

// Every member that is given must hold. At least one of unit and uid is given.
struct Match {
  std::string unit;           // "x.service", or "x@.service" for every instance; empty: not given
  bool main_process = false;  // only the unit's main process
  std::optional<uid_t> uid;   // set by settle_record()
  std::string uid_text;       // as written; empty: not given
  std::string
      executable;  // as written, after settle_record() with links resolved; empty: not given
  peers::FileId executable_id;            // set by settle_record() where `executable` is given
  std::vector<Digest> executable_sha256;  // sorted; any of them; empty: not given
  Position at, unit_at, main_process_at, uid_at, executable_at;

  bool unit_is_template() const;  // ends in "@.service"
};

struct Grant {
  std::string audience;
  std::vector<std::string> scope;  // sorted, no doubles; may be empty: a token without scope
  std::optional<std::chrono::seconds> max_lifetime;
  std::vector<std::string> urls;  // normalised (attest/jose/url.h); where proofs may go
  std::vector<std::string> authorization_details_types;  // sorted, no doubles
  bool bearer = false;  // tokens of this grant are Bearer tokens; baseline only
  Position at, max_lifetime_at, bearer_at;
};

struct Record {
  std::string file;  // for diagnostics
  std::string name, owner, purpose;
  Autonomy autonomy = Autonomy::adaptive;
  Access access = Access::infrastructure;
  // Absent in the file: the worst of each, with a warning. They rank agents, no tier hangs on them.
  Sensitivity data_sensitivity = Sensitivity::restricted;
  Impact business_impact = Impact::critical;
  Exposure exposure = Exposure::internet;
  std::vector<std::string> systems;
  std::optional<Vendor> vendor;
  std::optional<Date> reassess_by;  // always there when adaptive
  Binding binding = Binding::process;
  std::vector<std::string> act_for;  // issuers whose subjects it may act for; sorted, no doubles
  Match match;
  std::vector<Grant> grants;
  Position at, binding_at;

  DerivedTier derived;  // set by settle_record()
  Tier tier() const { return derived.tier; }
};

using RecordPtr = std::shared_ptr<const Record>;

struct ParsedRecord {
  std::optional<Record> record;  // absent iff `problems` holds an error
  Diagnostics problems;
};

// `file` is used in diagnostics, and its stem must equal the record's name.
ParsedRecord parse_record(std::string_view text, std::string_view file);

// Looks up uid and executable, derives the tier, checks the record against the tier. Errors and
// warnings are appended to `problems`; the record is usable only if no error was added.
void settle_record(Record& record, const TierRules& rules, const Accounts& accounts,
                   Diagnostics& problems);

// The lifetime of this grant's tokens: the record's or the tier's default, never over the tier's
// limit. Appends its steps.
std::chrono::seconds token_lifetime(const Grant& grant, Tier tier, const TierLimits& limits,
                                    Derivation& steps);

}  // namespace badged::agents
