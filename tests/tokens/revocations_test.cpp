// What is known again after a restart.
#include "daemon/tokens/revocations.h"

#include "attest/jose/base64url.h"
#include "tests/audit/support.h"
#include "tests/tokens/support.h"

using namespace badged;
using namespace badged::test;
using namespace badged::tokens;

TEST_CASE("a start with a clock that is ahead can still revoke what the last run issued") {
  const Folder folder;
  const std::int64_t made = std::time(nullptr);  // lines carry the time of day
  audit::ChainLink link;
  std::string lines;
  Jti jti{};
  audit::Entry token("token");
  token.text("agent", "bot").text("jti", attest::base64url(jti));
  token.number("exp", made + 300).number("status_idx", 5);
  audit::append_line(token.members(), link, lines);
  write_text(folder.log(), lines);
  const auto state = audit::StateDb::open(folder.db()).value();
  Loop loop;
  StoreFixture fixture(StoreKind::software);
  const IssuingKeys keys(loop.io, fixture.store(), fixture.path("issuing.json"), {});
  Epochs epochs(*state);
  const std::int64_t ahead = made + 7200;
  Revocations revocations(loop.io, StatusStore::open(folder.db()).value(), epochs, keys,
                          "https://issuer.example.org", {folder.log(), folder.path / "status.jwt"},
                          ahead);
  // The block of the token is not the open one any more: that one is never forgotten.
  const auto elsewhere = loop.run(revocations.admit(Jti{1}, ahead + 300, {}, ahead));
  REQUIRE(elsewhere);
  CHECK(*elsewhere >= limits::kStatusBlock);
  CHECK(loop.run(revocations.upkeep(ahead, false)));  // forgets what has expired
  CHECK(revocations.ledger().at(5, jti, made + 60));
  const auto it = [&](const Jti& of, const Authority&) { return of == jti; };
  CHECK(revocations.mark(made + 60, it).found == 1);
  CHECK(revocations.revoked(5));
}
