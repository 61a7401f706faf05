#include "attest/jose/replay_entry.h"

#include "keystore/sha256.h"

namespace badged::attest {

ReplayEntry replay_entry(const SeenProof& proof) {
  std::string joined(proof.jkt);
  joined.append(1, '\0').append(proof.jti);
  return {keystore::sha256(as_bytes(joined)), proof.until};
}

Rejection seen_before() {
  return reject(Reason::replayed, "check the proof: it was used before, or may have been",
                "make a new proof for each request");
}

Rejection no_room() {
  return reject(Reason::replay_full,
                "check the proof: too many proofs are in their window to remember another",
                "wait until the oldest leave their window, two minutes at most");
}

}  // namespace badged::attest
