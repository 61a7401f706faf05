// The proofs that came with bound subject tokens, each taken once (decision 17). Who asks for much
// fills its own share: what others hold stays theirs. Belongs to the I/O thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>

#include "attest/jose/dpop.h"
#include "attest/jose/replay.h"
#include "daemon/tokens/limits.h"

namespace badged::tokens {

class SubjectProofs {
 public:
  // `started`: Unix time; proofs made by then may have been seen before, and count as replayed.
  explicit SubjectProofs(std::int64_t started, std::size_t capacity = limits::kSubjectProofs);

  enum class Why { replayed, share_used, full };
  struct Refusal {
    Why why = Why::replayed;
    int retry_after = 0;  // seconds; 0: trying again is no use
  };
  // Takes a verified proof for good, in the name of the agent that brought it; `agents`: how many
  // records there are. Refused: nothing is kept.
  std::optional<Refusal> take(const std::string& agent, const attest::VerifiedProof& proof,
                              std::size_t agents, std::int64_t now);

  // Stops counting for agents that are gone. What they brought stays taken.
  void forget_agents(const std::function<bool(const std::string& agent)>& gone);

 private:
  // When each proof of an agent may be forgotten, the first on top.
  using Ends = std::priority_queue<std::int64_t, std::vector<std::int64_t>, std::greater<>>;

  const std::size_t capacity_;
  attest::ReplayCache cache_;
  std::unordered_map<std::string, Ends> held_;
};

}  // namespace badged::tokens
