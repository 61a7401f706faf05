// The tokens that the audit log says were issued and that have not expired: what a restart needs to
// know of them, and no other file has.
#pragma once

#include <functional>
#include <string>

#include "daemon/tokens/ledger.h"

namespace badged::tokens {

struct IssuedLine {
  Jti jti{};
  std::int64_t expires_at = 0;
  std::uint32_t status_index = 0;
  std::int64_t as_of = 0;  // Unix time; how much of its life was left then may be left now
  Authority authority;
};

// Reads the log backwards, newest first, to the first token that is older than any may be, and
// calls `visit` for each that had not expired when the newest was made, or where that is earlier by
// kClockAhead than `now`, then: a clock that is ahead at start must not make tokens expire. The log
// was verified when it was opened. A line of an earlier version, without a status index, is passed
// over. About 1 GB a second.
Result<void> read_issued(const std::string& path, std::int64_t now,
                         const std::function<void(const IssuedLine&)>& visit);

}  // namespace badged::tokens
