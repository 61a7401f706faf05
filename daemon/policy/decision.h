// What this agent may have now: record AND request AND tier, deny by default (H12).
//
// A pure function of its arguments: no clock, no files, no keys. The same arguments give the same
// answer, and the answer carries the steps that led to it. Any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/agents/record.h"
#include "keystore/store.h"

namespace badged::policy {

enum class TokenType { dpop, bearer };
std::string_view to_string(TokenType type);  // "DPoP", "Bearer": RFC 9449 5, RFC 6750

// One element of RFC 9396's array. The caller has parsed and bounded it.
struct AuthorizationDetail {
  std::string type;
  std::string json;  // the whole object in one form: calls/authorization_details.h
};

// What was asked, with front's limits already applied. Empty means not asked.
struct Ask {
  std::vector<std::string> audiences;  // `audience`, each as sent
  std::vector<std::string> resources;  // RFC 8707: absolute URIs, each as sent
  std::vector<std::string> scope;      // split at spaces
  bool scope_given = false;  // `scope=` with nothing in it asks for nothing: invalid_scope
  std::vector<AuthorizationDetail> details;
  std::optional<TokenType> token_type;  // `token_type` of the form, an extension; usually absent
};

// How the host stands, taken by the caller just before.
struct Standing {
  keystore::Custody store_custody = keystore::Custody::software;
  keystore::Condition store_condition = keystore::Condition::failed;
  std::string store_message, store_hint;  // of the store's state; for admins
  bool software_accepted = false;         // i_accept_software_keys
  bool clock_trustworthy = false;         // no step back beyond tolerance
};

struct Grant {
  std::string audience;
  std::vector<std::string> scope;  // sorted, no doubles
  std::vector<AuthorizationDetail> details;
  std::chrono::seconds lifetime{};  // `exp` may come earlier for other reasons, never later
  TokenType token_type = TokenType::dpop;
  agents::Binding binding = agents::Binding::process;
  keystore::Custody custody = keystore::Custody::tpm;  // of the signing key and of the PoP key
  agents::Tier tier = agents::Tier::high_assurance;
  std::vector<std::string> urls;  // where proofs for this token may go; normalised
  agents::Derivation steps;
};

// RFC 6749 5.2, RFC 8707 2, RFC 9396 5; temporarily_unavailable as wire.md says.
enum class DenialCode {
  invalid_request,
  invalid_target,
  invalid_scope,
  invalid_authorization_details,
  unauthorized_client,
  temporarily_unavailable,
};
std::string_view to_string(DenialCode code);

struct Denial {
  DenialCode code = DenialCode::unauthorized_client;
  std::string description;  // for the caller: its own request only, nothing of other records
  std::string reason;       // for the audit and the journal
  std::string hint;         // for the caller's developer; names only what the record grants it
};

using Decision = std::variant<Grant, Denial>;

// The grant that a request names; null where decide() would refuse the target. Lives as long as the
// record.
const agents::Grant* target_of(const agents::Record& record, const Ask& ask);

// Target: `audience` and `resource` may both be given and must name the same grant. An audience is
// compared as a string. A resource is compared as a string too, and where no audience equals it, it
// names the one grant whose `urls` it lies under. Nothing asked: the record's only grant, else
// invalid_target. Scope: none asked is all of the grant's; one beyond it is invalid_scope, never
// silently narrowed. Details: each type must be in the grant.
// Token type: what the grant says (`bearer = true` gives Bearer in a tier that allows it, all else
// DPoP); a caller may always ask for DPoP, and for Bearer only where it would get it anyway.
// Custody: a tier that needs the TPM is denied on a software store, accepted or not.
Decision decide(const agents::Record& record, const Ask& ask, const Standing& standing,
                const agents::TierLimitTable& limits);

}  // namespace badged::policy
