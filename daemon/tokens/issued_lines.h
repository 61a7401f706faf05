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
  Authority authority;
};

// Reads the log backwards, newest first, to the first token that is older than any may be, and
// calls `visit` for each token with exp beyond `after`. The log was verified when it was opened. A
// line of an earlier version, without a status index, is passed over. About 1 GB a second.
Result<void> read_issued(const std::string& path, std::int64_t after,
                         const std::function<void(const IssuedLine&)>& visit);

}  // namespace badged::tokens
