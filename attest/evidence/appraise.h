// The library's front door: evidence in, a verdict with every check out. Used by badge-verifier and
// by docs/examples/check_evidence.cpp; docs/verifier-guide.md says what each check means.
//
// Needs OpenSSL, and no TPM software. Nothing here does I/O but the StateFile that a caller opens.
// Not thread-safe: one thread uses an AttestationKey at a time.
#pragma once

#include "attest/evidence/evidence.h"
#include "attest/evidence/state.h"

namespace badged::attest {

// What the relying party asked for. Views must outlive the call.
struct EvidenceExpectation {
  ByteView challenge;  // 16 to 64 random bytes of its own, used once
  std::string_view audience;
  std::optional<std::vector<tpm::PcrSelection>> selection;  // absent: named as not checked
  bool allow_sha1_bank = false;
  std::int64_t now = 0;  // Unix time
};

struct Appraisal {
  Findings findings;
  std::optional<Rejection> rejection;        // absent: the evidence is good
  std::optional<VerifiedEvidence> evidence;  // absent where the signatures do not hold

  bool good() const { return !rejection; }
};

// Every check of docs/protocol.md, "Evidence". `state`, where given, is compared and, only when all
// else is good, replaced before this returns; it is consumed, so that it cannot judge twice. The AK
// was enrolled or pinned before, never taken from the evidence.
Appraisal appraise(const tpm::AttestationKey& ak, std::string_view evidence,
                   const EvidenceExpectation& expect, std::optional<StateFile> state = {});

// The checks that compare verified evidence with what was asked, without the state.
Checked<void> check_evidence(const tpm::AttestationKey& ak, const VerifiedEvidence& evidence,
                             const EvidenceExpectation& expect, Findings& findings);

}  // namespace badged::attest
