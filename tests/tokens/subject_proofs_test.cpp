// Proofs of subject tokens: taken once, and nobody's share is used up by others.
#include "daemon/tokens/subject_proofs.h"

#include <catch2/catch.hpp>

#include "attest/limits.h"

using namespace badged;
using namespace badged::tokens;
using Why = SubjectProofs::Why;

namespace {

constexpr std::int64_t kStart = 1'800'000'000;
constexpr std::int64_t kNow = kStart + 10;
constexpr std::size_t kEach = limits::kSubjectProofsEach;

attest::VerifiedProof proof(std::size_t number, std::int64_t issued = kNow) {
  return {"key", "jti-" + std::to_string(number), issued, {}};
}

// Brings `count` proofs from number `first` on; all are taken.
void bring(SubjectProofs& proofs, const std::string& agent, std::size_t first, std::size_t count,
           std::size_t agents) {
  for (std::size_t i = first; i < first + count; ++i)
    REQUIRE_FALSE(proofs.take(agent, proof(i), agents, kNow));
}

}  // namespace

TEST_CASE("a proof is taken once, whoever brings it") {
  SubjectProofs proofs(kStart);
  CHECK_FALSE(proofs.take("a", proof(1), 2, kNow));
  for (const char* agent : {"a", "b"}) {
    const auto refused = proofs.take(agent, proof(1), 2, kNow);
    REQUIRE(refused);
    CHECK(refused->why == Why::replayed);
    CHECK(refused->retry_after == 0);
  }
  CHECK(proofs.take("a", proof(2, kStart), 2, kNow)->why == Why::replayed);
}

TEST_CASE("an agent that uses its share up leaves the others theirs") {
  constexpr std::size_t kAgents = 4;
  SubjectProofs proofs(kStart, kAgents * 2 * kEach);
  bring(proofs, "greedy", 0, 2 * kEach, kAgents);
  const auto refused = proofs.take("greedy", proof(100'000), kAgents, kNow);
  REQUIRE(refused);
  CHECK(refused->why == Why::share_used);
  CHECK(refused->retry_after == attest::kProofMaxAge + 1);
  std::size_t first = 200'000;
  for (const char* other : {"a", "b", "c"})
    bring(proofs, other, first += 10'000, 2 * kEach, kAgents);
}

TEST_CASE("a share comes back when its proofs leave their window") {
  SubjectProofs proofs(kStart, kEach);
  bring(proofs, "a", 0, kEach, 1);
  const auto end = kNow + attest::kProofMaxAge + 1;
  CHECK(proofs.take("a", proof(kEach, end - 1), 1, end - 1)->retry_after == 1);
  CHECK_FALSE(proofs.take("a", proof(kEach, end), 1, end));
}

TEST_CASE("what is full refuses all, and says so") {
  SubjectProofs proofs(kStart, kEach + 1);
  bring(proofs, "a", 0, kEach, 1000);
  bring(proofs, "b", kEach, 1, 1000);
  const auto refused = proofs.take("c", proof(kEach + 1), 1000, kNow);
  REQUIRE(refused);
  CHECK(refused->why == Why::full);
  CHECK(refused->retry_after == 1);
}

TEST_CASE("a record that went and came back has its share anew, its proofs stay taken") {
  SubjectProofs proofs(kStart, 2 * kEach);
  bring(proofs, "a", 0, kEach, 2);
  proofs.forget_agents([](const std::string& agent) { return agent == "b"; });
  CHECK(proofs.take("a", proof(kEach), 2, kNow)->why == Why::share_used);
  proofs.forget_agents([](const std::string& agent) { return agent == "a"; });
  CHECK(proofs.take("a", proof(0), 2, kNow)->why == Why::replayed);
  CHECK_FALSE(proofs.take("a", proof(kEach), 2, kNow));
}
