#include "daemon/tokens/status_store.h"

#include <sqlite3.h>

#include <algorithm>

namespace badged::tokens {
namespace {

constexpr int kBusyTimeoutMs = 5000;  // the audit log holds the file for microseconds

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Statement prepare(sqlite3* db, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(db, sql, -1, &statement, nullptr);
  return Statement(statement);
}

bool run(sqlite3* db, const char* sql) {
  return sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
}

}  // namespace

Result<std::unique_ptr<StatusStore>> StatusStore::open(const std::string& path) {
  sqlite3* db = nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr);
  std::unique_ptr<StatusStore> store(new StatusStore(db));
  if (rc != SQLITE_OK)
    return fail(Errc::unavailable, "open " + path + ": " + sqlite3_errstr(rc),
                "check owner and mode of the state directory and that the disk has room");
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  // With WAL, FULL alone syncs at each commit.
  if (!run(db, "PRAGMA synchronous=FULL;")) return store->error("open the table of revocations");
  return store;
}

StatusStore::~StatusStore() {
  sqlite3_close(db_);
}

Error StatusStore::error(const char* doing) const {
  return fail(Errc::unavailable, std::string(doing) + " in state.db: " + sqlite3_errmsg(db_),
              "check room, owner and mode of the state directory");
}

Result<std::vector<StatusBlock>> StatusStore::blocks(std::int64_t now) const {
  const auto query = prepare(
      db_, "SELECT block, free_after, bits FROM status_block WHERE free_after>? AND block<?");
  if (!query) return error("read the status list");
  sqlite3_bind_int64(query.get(), 1, now);
  sqlite3_bind_int64(query.get(), 2, limits::kStatusBlocks);
  std::vector<StatusBlock> out;
  int rc = sqlite3_step(query.get());
  for (; rc == SQLITE_ROW; rc = sqlite3_step(query.get())) {
    StatusBlock block;
    block.number = static_cast<std::uint32_t>(sqlite3_column_int64(query.get(), 0));
    block.free_after = sqlite3_column_int64(query.get(), 1);
    if (sqlite3_column_bytes(query.get(), 2) != static_cast<int>(block.bits.size()))
      return fail(Errc::malformed, "read the status list in state.db: a block has another size");
    const auto* bits = static_cast<const std::uint8_t*>(sqlite3_column_blob(query.get(), 2));
    std::copy_n(bits, block.bits.size(), block.bits.begin());
    out.push_back(block);
  }
  if (rc != SQLITE_DONE) return error("read the status list");
  return out;
}

Result<void> StatusStore::commit(const StatusChange& change) {
  if (!run(db_, "BEGIN IMMEDIATE")) return error("store revocations");
  if (auto written = write(change); !written) {
    run(db_, "ROLLBACK");
    return written;
  }
  if (run(db_, "COMMIT")) return ok();
  auto failed = error("store revocations");
  run(db_, "ROLLBACK");
  return failed;
}

Result<void> StatusStore::write(const StatusChange& change) {
  const auto block =
      prepare(db_,
              "INSERT INTO status_block VALUES(?,?,?) ON CONFLICT(block) DO UPDATE SET "
              "free_after=excluded.free_after, bits=excluded.bits");
  const auto epoch = prepare(db_,
                             "INSERT INTO agent_epoch VALUES(?,?) ON CONFLICT(agent) DO UPDATE SET "
                             "epoch=max(epoch, excluded.epoch)");
  if (!block || !epoch) return error("store revocations");
  for (const auto& each : change.blocks) {
    sqlite3_bind_int64(block.get(), 1, each.number);
    sqlite3_bind_int64(block.get(), 2, each.free_after);
    sqlite3_bind_blob(block.get(), 3, each.bits.data(), static_cast<int>(each.bits.size()),
                      SQLITE_STATIC);
    if (sqlite3_step(block.get()) != SQLITE_DONE) return error("store revocations");
    sqlite3_reset(block.get());
  }
  for (const auto& [agent, value] : change.epochs) {
    sqlite3_bind_text(epoch.get(), 1, agent.c_str(), -1, SQLITE_STATIC);
    sqlite3_bind_int64(epoch.get(), 2, value);
    if (sqlite3_step(epoch.get()) != SQLITE_DONE) return error("store revocations");
    sqlite3_reset(epoch.get());
  }
  return ok();
}

}  // namespace badged::tokens
