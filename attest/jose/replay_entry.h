// What both replay guards keep of a proof, and how they refuse.
#pragma once

#include "attest/jose/replay.h"
#include "keystore/bytes.h"

namespace badged::attest {

struct ReplayEntry {
  Digest key;  // SHA-256 over jkt, a zero byte, and jti
  std::int64_t until = 0;
};

struct LaterEntry {
  bool operator()(const ReplayEntry& a, const ReplayEntry& b) const { return a.until > b.until; }
};

ReplayEntry replay_entry(const SeenProof& proof);
Rejection seen_before();
Rejection no_room();

}  // namespace badged::attest
