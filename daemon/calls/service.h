// What the handlers work with: every part of the daemon, built by Daemon and handed on. Belongs to
// the I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "attest/jose/access_token.h"
#include "daemon/agents/record_set.h"
#include "daemon/audit/recorder.h"
#include "daemon/calls/admission.h"
#include "daemon/calls/evidence_work.h"
#include "daemon/clock_watch.h"
#include "daemon/config/config.h"
#include "daemon/front/server.h"
#include "daemon/tokens/epochs.h"
#include "daemon/tokens/issuing_keys.h"
#include "daemon/tokens/limits.h"
#include "daemon/tokens/memory_signing.h"
#include "daemon/tokens/mint.h"
#include "daemon/tokens/publish.h"
#include "daemon/tokens/revocations.h"
#include "daemon/tokens/sessions.h"
#include "daemon/tokens/subject_issuers.h"
#include "daemon/tokens/subject_proofs.h"

namespace badged::calls {

// The records in force and what they were checked against; replaced as one by a reload.
struct Policy {
  std::shared_ptr<const agents::RecordSet> records;
  agents::TierRules rules;
  std::shared_ptr<const tokens::SubjectIssuers> subject_issuers;
  agents::Diagnostics problems;  // of the files that were loaded last
};

struct ReloadResult {
  bool changed = false;
  std::size_t agents = 0;
  agents::Diagnostics problems;  // with errors: nothing changed
  Result<void> recorded;         // an error: nothing changed
};

struct Service {
  boost::asio::io_context& io;
  const config::Config& config;
  keystore::Store& store;
  peers::Census& census;
  Policy& policy;
  Admissions& admissions;
  tokens::Sessions& sessions;
  tokens::IssuingKeys& issuing_keys;
  tokens::MemorySigning& memory_signing;
  tokens::Publisher& publisher;
  tokens::Epochs& epochs;
  tokens::Revocations& revocations;
  audit::Log& log;
  audit::Recorder& recorder;
  ClockWatch& clock;
  EvidenceWork& evidence;
  const tokens::Host host;
  // `entry` says who asked; it gets how it went, and is on disk before anything changes.
  std::function<boost::asio::awaitable<ReloadResult>(std::string who, audit::Entry entry)> reload;
  std::function<front::Counts()> connections;
  std::vector<std::string>& warnings;  // said at start-up, in `status` and by doctor
  std::int64_t started = 0;            // Unix time

  // One bucket per agent name; forgotten with its record.
  std::unordered_map<std::string, tokens::RateBucket> token_rates;
  // The same for introspection and revocation.
  std::unordered_map<std::string, tokens::RateBucket> question_rates;
  // Proofs that came with bound subject tokens. Those from before the start are refused.
  tokens::SubjectProofs subject_proofs{started};
};

std::int64_t unix_now();

}  // namespace badged::calls
