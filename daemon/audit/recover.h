// What a log file holds when it is opened again, compared with the head that was stored.
#pragma once

#include <optional>
#include <string>

#include "daemon/audit/line.h"
#include "daemon/audit/state_db.h"

namespace badged::audit {

struct FoundChain {
  StoredHead end;               // the last whole line that continues the chain
  std::int64_t torn_bytes = 0;  // after it, without a newline: a write that a crash cut short
  std::string damage;           // empty, or what was edited, dropped or cut; then `end` is void
};

// Reads `file` from the stored head on (from the start when there is none): lines up to the head
// were followed by an earlier start. A head whose line is missing or differs is damage.
Result<FoundChain> read_chain(int file, const std::optional<StoredHead>& stored);

}  // namespace badged::audit
