// state_dir/state.db: the little that must survive a restart. SQLite in WAL mode.
//
// The head of the audit log and each agent's epoch; daemon/tokens/status_store.h has a table of its
// own in it. The file carries a version: an older one is brought up to date in one transaction, a
// newer one is refused, a damaged one is named and never replaced. Thread-safe (SQLite's serialized
// mode).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daemon/audit/line.h"

struct sqlite3;
struct sqlite3_stmt;

namespace badged::audit {

// Where the last acknowledged line ends: `offset` is the file's length up to and with its newline.
struct StoredHead {
  ChainLink link;
  std::int64_t offset = 0;
};

class StateDb {
 public:
  static Result<std::unique_ptr<StateDb>> open(const std::string& path);
  // For readers beside a running or dead daemon (`badgectl audit verify`): changes nothing.
  static Result<std::unique_ptr<StateDb>> open_read_only(const std::string& path);
  ~StateDb();

  Result<std::optional<StoredHead>> audit_head() const;
  // Not synced to disk by itself: the log is, first. So after a power cut the stored head may be
  // older than the log, never newer.
  Result<void> set_audit_head(const StoredHead& head);

  // 0 until an agent's tokens were revoked for the first time.
  Result<std::int64_t> agent_epoch(const std::string& agent) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;
  explicit StateDb(sqlite3* db) : db_(db) {}
  Result<int> version() const;
  Result<void> prepare_schema();
  Error error(const char* doing) const;
  Statement prepare(const char* sql) const;
  sqlite3* db_;
  Statement write_head_;  // prepared once: it runs with every group commit
};

}  // namespace badged::audit
