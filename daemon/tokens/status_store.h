// What must outlive the daemon of the status list and of revocations, in state.db: reserved blocks
// with their bits, and the agents' epochs.
//
// A connection of its own, for a thread of its own: a commit waits for the disk. The audit log's
// connection does not, so the two never share a transaction. Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/tokens/ledger.h"

struct sqlite3;

namespace badged::tokens {

struct StatusChange {
  std::vector<StatusBlock> blocks;
  std::map<std::string, std::int64_t> epochs;  // agent, its new epoch
  bool empty() const { return blocks.empty() && epochs.empty(); }
};

class StatusStore {
 public:
  // `path`: state.db, which audit::StateDb has prepared.
  static Result<std::unique_ptr<StatusStore>> open(const std::string& path);
  ~StatusStore();

  // The blocks that are not free at `now`.
  Result<std::vector<StatusBlock>> blocks(std::int64_t now) const;

  // All of it or nothing, and on disk when this returns. An epoch is never lowered.
  Result<void> commit(const StatusChange& change);

 private:
  explicit StatusStore(sqlite3* db) : db_(db) {}
  Error error(const char* doing) const;
  Result<void> write(const StatusChange& change);
  sqlite3* db_;
};

}  // namespace badged::tokens
