// One session: its rates, what it answers again, and that nothing of it is left at its end.
#include "daemon/tokens/limits.h"
#include "tests/tokens/samples.h"

using namespace badged;
using namespace badged::test;
using namespace badged::tokens;
using namespace std::chrono_literals;

namespace {

CachedToken cached(const std::string& key) {
  return {key, "head of " + key, 1000, 1600};
}

}  // namespace

TEST_CASE("a bucket gives its burst at once, then its rate, and never saves up more") {
  RateBucket bucket;
  const agents::RateLimit limit{2, 3};
  auto now = RateBucket::Clock::now();
  for (int i = 0; i < 3; ++i) CHECK(bucket.take(limit, now));
  CHECK_FALSE(bucket.take(limit, now));
  CHECK_FALSE(bucket.take(limit, now += 499ms));
  CHECK(bucket.take(limit, now += 2ms));
  CHECK_FALSE(bucket.take(limit, now));
  now += 1h;
  for (int i = 0; i < 3; ++i) CHECK(bucket.take(limit, now));
  CHECK_FALSE(bucket.take(limit, now));
}

TEST_CASE("asking too often does not hold the next token back") {
  RateBucket bucket;
  const agents::RateLimit limit{1, 1};
  auto now = RateBucket::Clock::now();
  CHECK(bucket.take(limit, now));
  int given = 0;
  for (int i = 0; i < 10'000; ++i) given += bucket.take(limit, now += 1ms);
  CHECK(given >= 9);
  CHECK(given <= 10);
}

TEST_CASE("a token is answered again while at least half of its life remains") {
  const auto session = memory_session();
  session->cache(cached("a"));
  REQUIRE(session->cached("a", 1000) != nullptr);
  CHECK(session->cached("a", 1000)->body_head == "head of a");
  CHECK(session->cached("a", 1300) != nullptr);
  CHECK(session->cached("a", 1301) == nullptr);
  CHECK(session->cached("a", 999) == nullptr);  // the clock was set back
  CHECK(session->cached("b", 1000) == nullptr);
  CHECK(session->cached("", 1000) == nullptr);
}

TEST_CASE("a new token takes the place of the one it is like, and of the one least asked for") {
  const auto session = memory_session();
  session->cache(cached("a"));
  auto later = cached("a");
  later.issued_at = 1400;
  later.expires_at = 2000;
  session->cache(later);
  CHECK(session->cached("a", 1700) != nullptr);
  for (std::size_t i = 1; i < limits::kCachedTokensPerSession; ++i)
    session->cache(cached("k" + std::to_string(i)));
  CHECK(session->cached("a", 1500) != nullptr);
  session->cache(cached("one more"));
  CHECK(session->cached("a", 1500) != nullptr);
  CHECK(session->cached("k1", 1000) == nullptr);
  CHECK(session->cached("k2", 1000) != nullptr);
}

TEST_CASE("a known token is known whole, and forgotten when others were used since") {
  const auto session = memory_session();
  const auto token = [](std::size_t i) { return "eyJ.payload." + std::to_string(100 + i); };
  for (std::size_t i = 0; i < limits::kKnownTokensPerSession; ++i)
    session->remember({token(i), {"https://a/" + std::to_string(i)}, 1600});
  REQUIRE(session->known(token(0)) != nullptr);
  CHECK(session->known(token(0))->urls[0] == "https://a/0");
  CHECK(session->known(token(0).substr(1)) == nullptr);
  CHECK(session->known("fyJ.payload.100") == nullptr);
  CHECK(session->known("") == nullptr);
  session->remember({token(50), {}, 1600});
  CHECK(session->known(token(0)) != nullptr);
  CHECK(session->known(token(1)) == nullptr);
}

TEST_CASE(
    "the end of a session frees its locked key at once, while others still hold the session") {
  const auto before = keystore::locked_memory_used();
  const auto session = memory_session();
  const auto copy = session;
  const auto jkt = session->jkt();
  REQUIRE(session->memory_key() != nullptr);
  REQUIRE(session->memory_key()->sign(Digest{}));
  session->cache(cached("a"));
  session->remember({"a.b.c", {}, 1600});
  CHECK(keystore::locked_memory_used() > before);
  session->end();
  CHECK(keystore::locked_memory_used() == before);
  CHECK(copy->ended());
  CHECK(copy->memory_key() == nullptr);
  CHECK(copy->cached("a", 1000) == nullptr);
  CHECK(copy->known("a.b.c") == nullptr);
  CHECK(copy->jkt() == jkt);
}
