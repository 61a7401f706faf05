#include "daemon/audit/state_db.h"

#include <sqlite3.h>

#include <algorithm>
#include <iterator>

namespace badged::audit {
namespace {

// Step N makes version N+1 out of version N. Each is tolerant of tables that stand: a crash between
// making them and writing the version must not keep badged from starting.
constexpr const char* kSteps[] = {
    "CREATE TABLE IF NOT EXISTS audit_head(id INTEGER PRIMARY KEY CHECK(id=1), seq INTEGER NOT "
    "NULL, hash BLOB NOT NULL, file_offset INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS agent_epoch(agent TEXT PRIMARY KEY, epoch INTEGER NOT NULL) "
    "STRICT;",
    // Blocks of the status list (daemon/tokens/status_store.h).
    "CREATE TABLE IF NOT EXISTS status_block(block INTEGER PRIMARY KEY, free_after INTEGER NOT "
    "NULL, bits BLOB NOT NULL) STRICT;",
};
constexpr int kSchemaVersion = static_cast<int>(std::size(kSteps));
constexpr int kBusyTimeoutMs = 5000;  // a reader holds the file for microseconds; longer is a fault

Result<sqlite3*> open_file(const std::string& path, int flags) {
  sqlite3* db = nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &db, flags | SQLITE_OPEN_FULLMUTEX, nullptr);
  if (rc != SQLITE_OK) {
    auto failure = fail(Errc::unavailable, "open " + path + ": " + sqlite3_errstr(rc),
                        "check owner and mode of the state directory and that the disk has room");
    sqlite3_close(db);
    return failure;
  }
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  return db;
}

}  // namespace

Result<std::unique_ptr<StateDb>> StateDb::open(const std::string& path) {
  auto file = open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!file) return file.error();
  std::unique_ptr<StateDb> db(new StateDb(*file));
  if (auto ready = db->prepare_schema(); !ready) return ready.error();
  return db;
}

Result<std::unique_ptr<StateDb>> StateDb::open_read_only(const std::string& path) {
  auto file = open_file(path, SQLITE_OPEN_READONLY);
  if (!file) return file.error();
  return std::unique_ptr<StateDb>(new StateDb(*file));
}

StateDb::~StateDb() {
  write_head_.reset();
  sqlite3_close(db_);
}

void StateDb::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

StateDb::Statement StateDb::prepare(const char* sql) const {
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr);
  return Statement(statement);
}

Error StateDb::error(const char* doing) const {
  return fail(
      Errc::unavailable,
      std::string(doing) + " in " + sqlite3_db_filename(db_, "main") + ": " + sqlite3_errmsg(db_),
      "if the file is damaged, move it and its -wal file aside to keep as evidence, and leave the "
      "audit log in its place; badged then starts a new one, says so in the audit log, and counts "
      "every unexpired token as revoked");
}

Result<int> StateDb::version() const {
  const auto query = prepare("PRAGMA user_version");
  if (!query || sqlite3_step(query.get()) != SQLITE_ROW) return error("read the version");
  return sqlite3_column_int(query.get(), 0);
}

Result<void> StateDb::prepare_schema() {
  const auto read = version();
  if (!read) return read.error();
  const int found = *read;
  if (found > kSchemaVersion)
    return fail(Errc::refused,
                std::string("open ") + sqlite3_db_filename(db_, "main") + ": version " +
                    std::to_string(found) + " was written by a newer badged",
                "start the newer badged again, or restore the state directory from before it");
  if (sqlite3_exec(db_, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;", nullptr, nullptr,
                   nullptr) != SQLITE_OK)
    return error("prepare the tables");
  // One transaction: killed in between, the file is of the old version.
  std::string steps = "BEGIN IMMEDIATE;";
  for (int step = found; step < kSchemaVersion; ++step) steps += kSteps[step];
  steps += "PRAGMA user_version=" + std::to_string(kSchemaVersion) + "; COMMIT;";
  if (found < kSchemaVersion &&
      sqlite3_exec(db_, steps.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return error("prepare the tables");
  return ok();
}

Result<std::optional<StoredHead>> StateDb::audit_head() const {
  const auto query = prepare("SELECT seq, hash, file_offset FROM audit_head WHERE id=1");
  if (!query) return error("read the audit head");
  const int rc = sqlite3_step(query.get());
  if (rc == SQLITE_DONE) return std::optional<StoredHead>{};
  if (rc != SQLITE_ROW) return error("read the audit head");
  StoredHead head;
  head.link.seq = static_cast<std::uint64_t>(sqlite3_column_int64(query.get(), 0));
  head.offset = sqlite3_column_int64(query.get(), 2);
  if (sqlite3_column_bytes(query.get(), 1) != static_cast<int>(head.link.hash.size()))
    return fail(Errc::malformed, "read the audit head: its hash is not 32 bytes");
  const auto* hash = static_cast<const std::uint8_t*>(sqlite3_column_blob(query.get(), 1));
  std::copy_n(hash, head.link.hash.size(), head.link.hash.begin());
  return std::optional<StoredHead>(head);
}

Result<void> StateDb::set_audit_head(const StoredHead& head) {
  if (!write_head_)
    write_head_ = prepare(
        "INSERT INTO audit_head VALUES(1,?,?,?) ON CONFLICT(id) DO UPDATE SET "
        "seq=excluded.seq, hash=excluded.hash, file_offset=excluded.file_offset");
  if (!write_head_) return error("write the audit head");
  auto* upsert = write_head_.get();
  sqlite3_bind_int64(upsert, 1, static_cast<sqlite3_int64>(head.link.seq));
  sqlite3_bind_blob(upsert, 2, head.link.hash.data(), static_cast<int>(head.link.hash.size()),
                    SQLITE_STATIC);
  sqlite3_bind_int64(upsert, 3, head.offset);
  const int rc = sqlite3_step(upsert);
  auto failed = rc == SQLITE_DONE ? ok() : Result<void>(error("write the audit head"));
  sqlite3_reset(upsert);
  return failed;
}

Result<std::int64_t> StateDb::agent_epoch(const std::string& agent) const {
  const auto query = prepare("SELECT epoch FROM agent_epoch WHERE agent=?");
  if (!query) return error("read an agent's epoch");
  sqlite3_bind_text(query.get(), 1, agent.c_str(), -1, SQLITE_STATIC);
  const int rc = sqlite3_step(query.get());
  if (rc == SQLITE_DONE) return std::int64_t{0};
  if (rc != SQLITE_ROW) return error("read an agent's epoch");
  return std::int64_t{sqlite3_column_int64(query.get(), 0)};
}

}  // namespace badged::audit
