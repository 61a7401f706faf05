#include "daemon/tokens/subject_proofs.h"

#include <algorithm>

#include "attest/limits.h"

namespace badged::tokens {

SubjectProofs::SubjectProofs(std::int64_t started, std::size_t capacity)
    : capacity_(capacity), cache_(started, capacity) {}

std::optional<SubjectProofs::Refusal> SubjectProofs::take(const std::string& agent,
                                                          const attest::VerifiedProof& proof,
                                                          std::size_t agents, std::int64_t now) {
  const attest::SeenProof seen{proof.jkt, proof.jti, proof.issued_at,
                               proof.issued_at + attest::kProofMaxAge + 1};
  const auto share =
      std::max(limits::kSubjectProofsEach, capacity_ / std::max<std::size_t>(agents, 1));
  auto& ends = held_[agent];
  while (!ends.empty() && ends.top() <= now) ends.pop();
  if (ends.size() >= share) return Refusal{Why::share_used, static_cast<int>(ends.top() - now)};
  if (const auto fresh = cache_.remember(seen, now); !fresh)
    return fresh.error().reason == attest::Reason::replayed ? Refusal{Why::replayed, 0}
                                                            : Refusal{Why::full, 1};
  ends.push(seen.until);
  return std::nullopt;
}

void SubjectProofs::forget_agents(const std::function<bool(const std::string& agent)>& gone) {
  std::erase_if(held_, [&](const auto& entry) { return gone(entry.first); });
}

}  // namespace badged::tokens
