// Limits of the calls themselves, each with its reason.
#pragma once

#include <cstddef>

#include "daemon/agents/tiers.h"

namespace badged::calls::limits {

// Evidence costs a TPM two signatures, of which a real one makes 5 to 40 a second. A verifier asks
// when a session begins and now and then; the burst is for one that begins with several verifiers.
inline constexpr agents::RateLimit kEvidenceRate{1, 5};

// Pieces of evidence under way, from the request until the answer was taken: each holds at most
// three times its 5 MB (the logs, the text, the text on its way out). So a reader that stops costs
// 15 MB until its deadline, and all together cost 120 MB.
inline constexpr std::size_t kEvidenceAtOnce = 8;
// Of one agent, so that others keep their places; admins count as one.
inline constexpr std::size_t kEvidenceAtOnceEach = 2;

}  // namespace badged::calls::limits
