// state.db: its version, its head, and what is damaged is named and never replaced.
#include <sqlite3.h>

#include "tests/audit/support.h"

using namespace badged;
using namespace badged::audit;
using namespace badged::test;

namespace {

void execute(const std::string& file, const char* sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

}  // namespace

TEST_CASE("the head is kept from one start to the next") {
  const Folder folder;
  StoredHead head;
  head.link.seq = 7;
  head.link.hash.fill(0xab);
  head.offset = 1234;
  {
    auto db = StateDb::open(folder.db());
    REQUIRE(db);
    const auto none = (*db)->audit_head();
    REQUIRE(none);
    CHECK_FALSE(*none);
    REQUIRE((*db)->set_audit_head({{1, {}}, 10}));
    REQUIRE((*db)->set_audit_head(head));
  }
  const auto db = StateDb::open_read_only(folder.db());
  REQUIRE(db);
  const auto found = (*db)->audit_head();
  REQUIRE((found && *found));
  CHECK((*found)->link == head.link);
  CHECK((*found)->offset == 1234);
  CHECK_FALSE((*db)->set_audit_head(head));
}

TEST_CASE("an agent's epoch is 0 until it was raised") {
  const Folder folder;
  { REQUIRE(StateDb::open(folder.db())); }
  execute(folder.db(), "INSERT INTO agent_epoch VALUES('a''b', 3)");
  const auto db = StateDb::open(folder.db());
  REQUIRE(db);
  CHECK((*db)->agent_epoch("a'b").value() == 3);
  CHECK((*db)->agent_epoch("other").value() == 0);
}

TEST_CASE("a newer version is refused and left as it is") {
  const Folder folder;
  { REQUIRE(StateDb::open(folder.db())); }
  execute(folder.db(), "PRAGMA user_version=3");
  const auto db = StateDb::open(folder.db());
  REQUIRE_FALSE(db);
  CHECK(db.error().code == Errc::refused);
  CHECK(db.error().what.find("version 3 was written by a newer badged") != std::string::npos);
}

TEST_CASE("a database of version 1 gets the table of the status list and keeps what it has") {
  const Folder folder;
  execute(folder.db(),
          "CREATE TABLE audit_head(id INTEGER PRIMARY KEY CHECK(id=1), seq INTEGER NOT NULL, hash "
          "BLOB NOT NULL, file_offset INTEGER NOT NULL) STRICT;"
          "CREATE TABLE agent_epoch(agent TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT;"
          "INSERT INTO agent_epoch VALUES('bot', 4); PRAGMA user_version=1;");
  {
    const auto db = StateDb::open(folder.db());
    REQUIRE(db);
    CHECK((*db)->agent_epoch("bot").value() == 4);
  }
  execute(folder.db(), "INSERT INTO status_block VALUES(0, 1, x'00')");
}

TEST_CASE("a damaged database is named, with what to do, and kept") {
  const Folder folder;
  const std::string garbage(8192, 'x');
  write_text(folder.db(), garbage);
  const auto db = StateDb::open(folder.db());
  REQUIRE_FALSE(db);
  CHECK(db.error().what.find(folder.db()) != std::string::npos);
  CHECK_FALSE(db.error().hint.empty());
  CHECK(read_text(folder.db()) == garbage);
}

TEST_CASE("a head whose hash has another size is an error, never no head") {
  const Folder folder;
  { REQUIRE(StateDb::open(folder.db())); }
  execute(folder.db(), "INSERT INTO audit_head VALUES(1, 5, x'00ff', 100)");
  const auto db = StateDb::open(folder.db());
  REQUIRE(db);
  CHECK((*db)->audit_head().error().code == Errc::malformed);
}

TEST_CASE("a reader needs a database that is there") {
  const Folder folder;
  CHECK_FALSE(StateDb::open_read_only(folder.db()));
  CHECK_FALSE(fs::exists(folder.db()));
}
