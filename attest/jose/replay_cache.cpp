#include <queue>
#include <set>

#include "attest/jose/replay.h"
#include "attest/jose/replay_entry.h"

namespace badged::attest {

struct ReplayCache::State {
  std::size_t capacity;
  std::int64_t forgotten;  // proofs that end at or before this may have been seen and dropped
  std::set<Digest> seen;   // a tree: who chooses a jti cannot make it slow
  std::priority_queue<ReplayEntry, std::vector<ReplayEntry>, LaterEntry> by_end;

  // A clock that steps forward drops everything; `forgotten` keeps that safe when it steps back.
  void drop_ended(std::int64_t now) {
    while (!by_end.empty() && by_end.top().until <= now) {
      forgotten = std::max(forgotten, by_end.top().until);
      seen.erase(by_end.top().key);
      by_end.pop();
    }
  }
};

ReplayCache::ReplayCache(std::int64_t horizon, std::size_t entries)
    : state_(std::make_unique<State>()) {
  state_->capacity = entries;
  state_->forgotten = horizon + kProofMaxAge + 1;
}

ReplayCache::~ReplayCache() = default;

std::size_t ReplayCache::size() const {
  return state_->seen.size();
}

Checked<void> ReplayCache::remember(const SeenProof& proof, std::int64_t now) {
  state_->drop_ended(now);
  const ReplayEntry entry = replay_entry(proof);
  if (proof.until <= state_->forgotten || state_->seen.contains(entry.key)) return seen_before();
  if (state_->seen.size() >= state_->capacity) return no_room();
  state_->seen.insert(entry.key);
  state_->by_end.push(entry);
  return {};
}

}  // namespace badged::attest
