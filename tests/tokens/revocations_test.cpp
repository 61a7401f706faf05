// What is known again after a restart.
#include "daemon/tokens/revocations.h"

#include "attest/jose/base64url.h"
#include "tests/audit/support.h"
#include "tests/tokens/support.h"

using namespace badged;
using namespace badged::test;
using namespace badged::tokens;

namespace {

constexpr int kPlace = 5;

// What the last run left: a log with one token, and a state.db.
struct LastRun {
  LastRun() {
    audit::ChainLink link;
    std::string lines;
    audit::Entry token("token");
    token.text("agent", "bot").text("jti", attest::base64url(jti));
    token.number("exp", made + 300).number("status_idx", kPlace);
    audit::append_line(token.members(), link, lines);
    write_text(folder.log(), lines);
  }
  void store_block() {
    REQUIRE(StatusStore::open(folder.db()).value()->commit({{{0, made + 3600, {}}}, {}}));
  }
  std::unique_ptr<Revocations> start(std::int64_t now) {
    return std::make_unique<Revocations>(
        loop.io, StatusStore::open(folder.db()).value(), epochs, keys, "https://issuer.example.org",
        Revocations::Files{folder.log(), folder.path / "status.jwt"}, now);
  }

  const Folder folder;
  const std::int64_t made = std::time(nullptr);  // lines carry the time of day
  const Jti jti{};
  const std::unique_ptr<audit::StateDb> state = audit::StateDb::open(folder.db()).value();
  Loop loop;
  StoreFixture fixture{StoreKind::software};
  IssuingKeys keys{loop.io, fixture.store(), fixture.path("issuing.json"), kSchedule};
  Epochs epochs{*state};
};

}  // namespace

TEST_CASE("a start with a clock that is ahead can still revoke what the last run issued") {
  LastRun last;
  last.store_block();
  const std::int64_t ahead = last.made + 7200;
  const auto revocations = last.start(ahead);
  CHECK_FALSE(revocations->revoked(kPlace));
  // The block of the token is not the open one any more: that one is never forgotten.
  const auto elsewhere = last.loop.run(revocations->admit(Jti{1}, ahead + 300, {}, ahead));
  REQUIRE(elsewhere);
  CHECK(*elsewhere >= limits::kStatusBlock);
  CHECK(last.loop.run(revocations->upkeep(ahead, false)));  // forgets what has expired
  CHECK(revocations->ledger().at(kPlace, last.jti, last.made + 60));
  const auto it = [&](const Jti& of, const Authority&) { return of == last.jti; };
  CHECK(revocations->mark(last.made + 60, it).found == 1);
  CHECK(revocations->revoked(kPlace));
}

TEST_CASE("tokens of a block that the store has lost count as revoked, also after another start") {
  LastRun last;
  for (const std::size_t told : {1, 0}) {
    const auto revocations = last.start(last.made + 60);
    CHECK(revocations->lost() == told);
    CHECK(revocations->revoked(kPlace));
    CHECK(revocations->revoked(kPlace + 1));  // its line may have been cut off the log
    const auto next =
        last.loop.run(revocations->admit(Jti{1}, last.made + 300, {}, last.made + 60));
    REQUIRE(next);
    CHECK_FALSE(revocations->revoked(*next));
  }
}

TEST_CASE("what had expired before its block was lost is not told of") {
  LastRun last;
  const auto revocations = last.start(last.made + 7200);
  CHECK(revocations->lost() == 0);
  CHECK(revocations->revoked(kPlace));
}

TEST_CASE("a new list is due when tokens are about to have places behind the end of this one") {
  LastRun last;
  last.store_block();
  const auto now = last.made + 60;
  REQUIRE(last.loop.run(last.keys.open(last.made)));
  const auto revocations = last.start(now);
  REQUIRE(last.loop.run(revocations->upkeep(now, true)));
  const auto first = revocations->list();
  REQUIRE_FALSE(first.empty());
  const auto issue = [&](std::uint32_t blocks) {
    for (std::uint32_t i = 0; i < blocks * limits::kStatusBlock; ++i)
      REQUIRE(last.loop.run(revocations->admit(Jti{1}, now + 300, {}, now)));
    REQUIRE(last.loop.run(revocations->upkeep(now, true)));
  };
  issue(limits::kStatusBlocksAhead / 4);
  CHECK(revocations->list() == first);
  issue(limits::kStatusBlocksAhead / 2);
  CHECK(revocations->list() != first);
}
