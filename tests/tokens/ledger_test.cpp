// Places in the status list: given out once, kept until the token has expired, marked when revoked.
#include "daemon/tokens/ledger.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <ctime>

#include "attest/jose/base64url.h"
#include "daemon/audit/state_db.h"
#include "daemon/tokens/issued_lines.h"
#include "daemon/tokens/status_store.h"
#include "tests/audit/support.h"

using namespace badged;
using namespace badged::test;
using namespace badged::tokens;

namespace {

constexpr std::int64_t kNow = 1'800'000'000;
constexpr std::int64_t kUptime = 5000;
constexpr Instant kThen{kNow, kUptime};
constexpr std::int64_t kLong = kNow + 90'000;
const Authority kBot{"bot", "s1", "https://a.example/", "read"};
const Authority kOther{"other", "s2", "https://a.example/", "read"};

Jti jti_of(std::uint32_t number) {
  Jti jti{};
  for (std::size_t i = 0; i < 4; ++i) jti[i] = static_cast<std::uint8_t>(number >> 8 * i);
  jti[15] = 1;
  return jti;
}

// Reserves as the daemon does.
void reserve(Ledger& ledger, Instant now = kThen, std::int64_t until = kLong) {
  ledger.expire(now);
  const auto block = ledger.choose(until);
  REQUIRE(block);
  ledger.opened(block->number);
}

Ledger::Marked revoke_all_of(Ledger& ledger, const std::string& agent, std::int64_t now = kNow) {
  return ledger.revoke(now, [&](const Jti&, const Authority& of) { return of.agent == agent; });
}

// So many seconds later, by both clocks.
Instant later(std::int64_t seconds) {
  return {kNow + seconds, kUptime + seconds};
}

}  // namespace

TEST_CASE("no place is given out before it is reserved, nor for longer than it is reserved") {
  Ledger ledger;
  CHECK_FALSE(ledger.add(jti_of(1), kNow + 60, kBot, kThen));
  const auto block = ledger.choose(kNow + 60);
  REQUIRE(block);
  CHECK_FALSE(ledger.add(jti_of(1), kNow + 60, kBot, kThen));  // not on disk yet
  ledger.opened(block->number);
  CHECK_FALSE(ledger.add(jti_of(1), kNow + 61, kBot, kThen));
  CHECK(ledger.add(jti_of(1), kNow + 60, kBot, kThen) == 0U);
}

TEST_CASE("a place is never given out again before its token has expired") {
  Ledger ledger;
  std::set<std::uint32_t> live;
  std::uint32_t made = 0;
  const auto fill = [&](std::int64_t after, std::int64_t exp, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!ledger.has_room(1, exp)) reserve(ledger, later(after), kNow + after + 90'000);
      const auto place = ledger.add(jti_of(++made), exp, kBot, later(after));
      REQUIRE(place);
      REQUIRE(live.insert(*place).second);
    }
  };
  fill(0, kNow + 600, 3 * limits::kStatusBlock);
  fill(300, kNow + 900, limits::kStatusBlock);
  // Those that expired at kNow + 600 make room once no clock can take them for good any more.
  std::erase_if(live, [](std::uint32_t place) { return place < 3 * limits::kStatusBlock; });
  fill(600 + limits::kRetireLeeway.count(), kNow + 2000, 2 * limits::kStatusBlock);
  CHECK(*live.begin() == 0);
}

TEST_CASE(
    "when the list is full of live tokens, the next one is refused and nothing is overwritten") {
  Ledger ledger;
  for (std::uint32_t i = 0; i < limits::kStatusBlocks; ++i) reserve(ledger);
  const auto none = ledger.choose(kLong);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Errc::busy);
}

TEST_CASE("revoking marks the tokens that are meant, and says how many were not marked before") {
  Ledger ledger;
  reserve(ledger);
  const auto one = ledger.add(jti_of(1), kNow + 60, kBot, kThen).value();
  const auto two = ledger.add(jti_of(2), kNow + 60, kOther, kThen).value();
  const auto gone =
      ledger.add(jti_of(3), kNow - 1, kBot, kThen).value();  // marked too, not counted
  const auto marked = revoke_all_of(ledger, "bot");
  CHECK(marked.tokens == 1);
  CHECK(marked.blocks == std::set<std::uint32_t>{0});
  CHECK(ledger.revoked(one));
  CHECK_FALSE(ledger.revoked(two));
  CHECK(ledger.revoked(gone));
  CHECK(revoke_all_of(ledger, "bot").tokens == 0);
  CHECK(revoke_all_of(ledger, "bot").found == 1);
  const auto bits = ledger.bits();
  CHECK(bits.size() == 17 * limits::kStatusBlock / 8);  // 16 ahead, for blocks opened later
  CHECK(bits[0] == 5);                                  // the first token is the lowest bit
}

TEST_CASE("a token is found by place and jti together, until it expires") {
  Ledger ledger;
  reserve(ledger);
  const auto place = ledger.add(jti_of(7), kNow + 60, kBot, kThen).value();
  REQUIRE(ledger.at(place, jti_of(7), kNow));
  CHECK(ledger.at(place, jti_of(7), kNow)->authority->session == "s1");
  CHECK_FALSE(ledger.at(place, jti_of(8), kNow));
  CHECK_FALSE(ledger.at(place, jti_of(7), kNow + 60));
  CHECK_FALSE(ledger.at(place + 1, jti_of(7), kNow));
  CHECK_FALSE(ledger.at(0xffffffff, jti_of(7), kNow));
}

TEST_CASE("what has expired costs nothing any more") {
  Ledger ledger;
  for (std::uint32_t i = 0; i < 2 * limits::kStatusBlock; ++i) {
    if (!ledger.has_room(1, kNow + 60)) reserve(ledger);
    REQUIRE(ledger.add(jti_of(i), kNow + 60, i % 2 == 0 ? kBot : kOther, kThen));
  }
  reserve(ledger);
  REQUIRE(ledger.add(jti_of(9999), kNow + 600, kOther, kThen));
  ledger.expire(later(60 + limits::kRetireLeeway.count()));
  CHECK(ledger.size() == 1);
  std::size_t seen = 0;
  ledger.each(kNow, [&](const Ledger::Token& token) {
    ++seen;
    CHECK(token.authority->agent == "other");
  });
  CHECK(seen == 1);
}

TEST_CASE("after a restart the last block goes on behind its last used place, marks included") {
  Ledger before;
  reserve(before);
  const auto place = before.add(jti_of(1), kNow + 60, kBot, kThen).value();
  const auto lost =
      before.add(jti_of(2), kNow + 60, kBot, kThen).value();  // revoked, never recorded
  revoke_all_of(before, "bot");
  Ledger after;
  after.restore(before.block(0), kThen);
  after.restore(place, jti_of(1), kNow + 60, kBot, kThen);
  after.reopen();
  CHECK(after.revoked(place));
  const auto next = after.add(jti_of(3), kNow + 60, kBot, kThen);
  REQUIRE(next);
  CHECK(*next == lost + 1);
  CHECK_FALSE(after.revoked(*next));
}

TEST_CASE("a restored block of which no token is known is not gone on with") {
  Ledger ledger;
  ledger.restore({0, kLong, {}}, kThen);
  ledger.reopen();
  CHECK_FALSE(ledger.has_room(1, kNow + 60));
  reserve(ledger);
  CHECK(ledger.add(jti_of(1), kNow + 60, kBot, kThen) == limits::kStatusBlock);
}

TEST_CASE("blocks, marks and epochs are stored together, and an epoch never falls") {
  const Folder folder;
  const auto state = audit::StateDb::open(folder.db());
  REQUIRE(state);
  auto store = StatusStore::open(folder.db());
  REQUIRE(store);
  StatusBlock block{3, kLong, {}};
  block.bits[7] = 0x81;
  REQUIRE((*store)->commit({{block}, {{"bot", 5}}}));
  REQUIRE((*store)->commit({{{4, kNow - 1, {}}}, {{"bot", 4}}}));
  store = StatusStore::open(folder.db());
  const auto blocks = (*store)->blocks(kNow);
  REQUIRE(blocks);
  REQUIRE(blocks->size() == 1);  // the other one is free
  CHECK(blocks->front().number == 3);
  CHECK(blocks->front().free_after == kLong);
  CHECK(blocks->front().bits == block.bits);
  CHECK((*state)->agent_epoch("bot").value() == 5);
}

TEST_CASE("unexpired tokens are read back from the audit log, whatever their members hold") {
  const Folder folder;
  const std::int64_t now = std::time(nullptr);  // lines carry the time of day
  audit::ChainLink link;
  std::string lines;
  const auto token = [&](const char* jti, std::int64_t exp, const char* scope, bool with_index) {
    audit::Entry entry("token");
    entry.text("agent", "bot").text("jti", jti).text("audience", R"(https://a/","exp":1,"x":")");
    entry.text("scope", scope).number("exp", exp);
    if (with_index) entry.number("status_idx", 4097);
    entry.text("session", "s1");
    audit::append_line(entry.members(), link, lines);
  };
  token("AAAAAAAAAAAAAAAAAAAAAQ", now + 600, R"(a"b\c)", true);
  token("AAAAAAAAAAAAAAAAAAAAAg", now - 61, "expired", true);
  token("AAAAAAAAAAAAAAAAAAAAAw", now + 600, "of a version before", false);
  token("not a jti", now + 600, "malformed", true);
  audit::append_line(audit::Entry("finding").text("detail", ",\"kind\":\"token\"").members(), link,
                     lines);
  write_text(folder.log(), lines);
  std::vector<IssuedLine> found;
  REQUIRE(read_issued(folder.log(), now, [&](const IssuedLine& line) { found.push_back(line); }));
  REQUIRE(found.size() == 1);
  CHECK(found[0].jti[15] == 1);
  CHECK(found[0].status_index == 4097);
  CHECK(found[0].authority.scope == R"(a"b\c)");
  CHECK(found[0].authority.audience == R"(https://a/","exp":1,"x":")");
  CHECK_FALSE(read_issued(folder.log() + ".none", now, [](const IssuedLine&) {}));
}

TEST_CASE("a log longer than one read is read whole, and lines across two reads once") {
  const Folder folder;
  const std::int64_t now = std::time(nullptr);  // lines carry the time of day
  audit::ChainLink link;
  std::string lines;
  constexpr std::uint32_t kLines = 9000;
  for (std::uint32_t i = 0; i < kLines; ++i) {
    audit::Entry entry("token");
    entry.text("jti", attest::base64url(jti_of(i)))
        .number("exp", now + 600)
        .number("status_idx", i);
    entry.text("scope", std::string(i % 300, 'x'));
    audit::append_line(entry.members(), link, lines);
  }
  write_text(folder.log(), lines);
  std::set<std::uint32_t> found;
  std::uint32_t visits = 0;
  REQUIRE(read_issued(folder.log(), now, [&](const IssuedLine& line) {
    ++visits;
    found.insert(line.status_index);
  }));
  CHECK(visits == kLines);
  CHECK(found.size() == kLines);
}

TEST_CASE("a clock that steps forward two hours and back forgets no revocation") {
  Ledger ledger;
  reserve(ledger);
  const auto place = ledger.add(jti_of(1), kNow + 300, kBot, kThen).value();
  const auto later_marked = ledger.add(jti_of(2), kNow + 300, kOther, kThen).value();
  reserve(ledger);
  // The block is full and closed.
  while (ledger.has_room(1, kLong - 1) && ledger.size() < limits::kStatusBlock)
    REQUIRE(ledger.add(jti_of(9), kNow + 60, kBot, kThen));
  REQUIRE(ledger.add(jti_of(3), kNow + 60, kBot, kThen) == limits::kStatusBlock);
  revoke_all_of(ledger, "bot");
  const Instant stepped{kNow + 7200, kUptime + 1};
  CHECK(ledger.expire(stepped).empty());
  // What is revoked while the clock is ahead counts when it has come back.
  CHECK(revoke_all_of(ledger, "other", stepped.wall).tokens == 0);
  CHECK(ledger.revoked(place));
  CHECK(ledger.revoked(later_marked));
  // Its lifetime has passed by the clock that does not step.
  CHECK(ledger.expire({kNow + 7200, kUptime + 360}) == std::set<std::uint32_t>{0});
  CHECK_FALSE(ledger.revoked(place));
}

TEST_CASE("a start with a clock that is ahead forgets no revocation for as long as a token lives") {
  Ledger ledger;
  StatusBlock marked{0, kNow - 3600, {}};
  marked.bits[0] = 1;
  ledger.restore(marked, kThen);
  ledger.restore({1, kNow - 3600, {}}, kThen);  // no mark to forget
  ledger.reopen();
  CHECK(ledger.expire(kThen).empty());
  CHECK(ledger.revoked(0));
  CHECK(ledger.choose(kLong).value().number == 1);
  CHECK(ledger.expire(later(86'400 + 60)) == std::set<std::uint32_t>{0});
}

TEST_CASE("a start with a clock that is ahead knows the tokens that had not expired by the log") {
  const Folder folder;
  const std::int64_t made = std::time(nullptr);  // lines carry the time of day
  audit::ChainLink link;
  std::string lines;
  for (const auto& [index, exp] : {std::pair(7U, made - 100), {8U, made + 300}}) {
    audit::Entry token("token");
    token.text("agent", "bot").text("jti", attest::base64url(jti_of(index)));
    token.number("exp", exp).number("status_idx", index);
    audit::append_line(token.members(), link, lines);
  }
  audit::append_line(audit::Entry("start").members(), link, lines);
  write_text(folder.log(), lines);
  const auto known = [&](std::int64_t now) {
    std::vector<IssuedLine> found;
    REQUIRE(read_issued(folder.log(), now, [&](const auto& line) { found.push_back(line); }));
    return found;
  };
  // By the clock of the lines: time() may lag behind it by a tick.
  using Clock = std::chrono::system_clock;
  const std::int64_t written = Clock::to_time_t(Clock::now());
  for (const std::int64_t ahead : {0, 7200, 86'000}) {
    const auto found = known(made + ahead);
    REQUIRE(found.size() == 1);
    CHECK(found[0].status_index == 8);
    CHECK(found[0].as_of >= made);
    CHECK(found[0].as_of <= written);
  }
  CHECK(known(made + 86'400 + 3600).empty());  // beyond what is made up for
  CHECK(known(made - 7200).size() == 2);  // it was ahead when they were made, and has come back
  // By the clock that does not step it lives as long as it had left.
  const auto line = known(made + 7200)[0];
  Ledger ledger;
  ledger.restore(line.status_index, line.jti, line.expires_at, line.authority,
                 {line.as_of, kUptime});
  ledger.reopen();
  ledger.opened(ledger.choose(made + 90'000).value().number);
  for (std::uint32_t place = 0; place < 4096U;) {  // until it is of the other block
    const auto next = ledger.add(jti_of(9), made + 7200, kBot, {made + 7200, kUptime});
    REQUIRE(next);
    place = *next;
  }
  ledger.expire({made + 7200, kUptime + 200});
  CHECK(ledger.at(8, line.jti, made + 200));
  CHECK(revoke_all_of(ledger, "bot", made + 200).found > 0);
  CHECK(ledger.revoked(8));
}

TEST_CASE("a line written by a clock that was behind hides no token before it") {
  const Folder folder;
  const std::int64_t now = std::time(nullptr);
  audit::ChainLink link;
  std::string lines;
  audit::Entry token("token");
  token.text("jti", "AAAAAAAAAAAAAAAAAAAAAQ").number("exp", now + 600).number("status_idx", 7);
  audit::append_line(token.members(), link, lines);
  lines += R"({"seq":2,"time":"1970-01-01T00:00:09.000Z","kind":"finding","detail":"the clock"})";
  lines += '\n';
  write_text(folder.log(), lines);
  std::size_t found = 0;
  REQUIRE(read_issued(folder.log(), now, [&](const IssuedLine&) { ++found; }));
  CHECK(found == 1);
}
