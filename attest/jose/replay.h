// Remembers proofs until they are too old to be accepted anyway (RFC 9449 11.1). Fails closed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "attest/limits.h"
#include "attest/reason.h"
#include "keystore/bytes.h"

namespace badged::attest {

// What is remembered of a proof. Keyed by (jkt, jti): a jti is unique for its key only.
struct SeenProof {
  std::string_view jkt;
  std::string_view jti;
  std::int64_t issued_at = 0;
  std::int64_t until = 0;  // from then on its iat is outside the window
};

class ReplayGuard {
 public:
  virtual ~ReplayGuard() = default;
  // Refused: seen before (replayed), or no room for it (replay_full), or no durable memory
  // (replay_broken), or another process keeps that to itself (busy). Accepted means: remembered.
  virtual Checked<void> remember(const SeenProof& proof, std::int64_t now) = 0;
};

// In memory, at most `entries`. What was seen before a restart is forgotten with it, therefore
// proofs issued at or before `horizon` are refused as replayed: pass the time of start. Not
// thread-safe.
class ReplayCache final : public ReplayGuard {
 public:
  explicit ReplayCache(std::int64_t horizon, std::size_t entries = kReplayEntries);
  ~ReplayCache() override;
  Checked<void> remember(const SeenProof& proof, std::int64_t now) override;
  std::size_t size() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// In a file that several verifiers share, one after the other (flock). Survives restarts: a proof
// is durable before it is accepted. A file that is not ours, a symlink or a damaged one is refused.
class ReplayFile final : public ReplayGuard {
 public:
  explicit ReplayFile(std::string path, std::size_t entries = kReplayEntries);
  Checked<void> remember(const SeenProof& proof, std::int64_t now) override;

 private:
  std::string path_;
  std::size_t entries_;
};

}  // namespace badged::attest
