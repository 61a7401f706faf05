// What a verifier remembers of one host's TPM, so that old evidence and a TPM that was reset, wiped
// or exchanged are seen.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "attest/findings.h"
#include "attest/locked_file.h"
#include "attest/tpm/quote.h"

namespace badged::attest {

struct TpmState {
  Digest ak{};     // fingerprint of the attestation key: one file is for one host
  Digest quote{};  // of the last TPMS_ATTEST accepted
  std::uint64_t clock = 0;
  std::uint32_t reset_count = 0, restart_count = 0;
  std::uint64_t firmware_version = 0;

  static TpmState of(const tpm::AttestationKey& ak, const tpm::VerifiedQuote& quote);
  bool operator==(const TpmState&) const = default;
};

// Refused (Reason::went_back) unless everything goes forward: reset count; within one reset the
// restart count; within one restart the clock; and the clock across resets, too, where the TPM says
// that it is safe (Part 1, 36.3: a clock that is not may repeat what was reported before the power
// failed). The very same quote again is `replayed`, another AK `binding`. Notes failures alone:
// that the state is good is known once it is stored.
Checked<void> compare_state(const TpmState& seen, const TpmState& now, bool clock_is_safe,
                            Findings& findings);

// The file, locked until it is replaced: read, judge and replace are one step among processes. For
// one judgement: what it read is the past once it is replaced, and so is the file that it locked.
// Whoever judges again opens it again. Move-only.
class StateFile {
 public:
  // Errors are Reason::state_broken: not ours, damaged, or written by a newer badged; and
  // Reason::busy, where another process has had it locked for `patience`.
  static Checked<StateFile> open(std::string path,
                                 std::chrono::milliseconds patience = kLockPatience);
  const std::optional<TpmState>& seen() const { return seen_; }
  // Durable when it returns; a crash leaves the old content or the new. Consumes: once more, also
  // after a failure, is Reason::state_broken.
  Checked<void> replace(const TpmState& now) &&;

 private:
  StateFile(std::string path, LockedFile file) : path_(std::move(path)), file_(std::move(file)) {}
  std::string path_;
  LockedFile file_;
  std::optional<TpmState> seen_;
};

}  // namespace badged::attest
