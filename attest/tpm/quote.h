// A TPM's quote, checked. The path is the type: bytes -> VerifiedQuote (signature by a given AK,
// magic, type, no trailing bytes) -> check_quote (nonce, selection, PCR values, clock).
#pragma once

#include <optional>

#include "attest/findings.h"
#include "attest/tpm/certify.h"
#include "attest/tpm/pcr_values.h"

namespace badged::attest::tpm {

// Exists only for a quote that the AK has signed. What it says has not been compared with anything.
class VerifiedQuote {
 public:
  static Checked<VerifiedQuote> verify(const AttestationKey& ak, ByteView attest,
                                       ByteView signature, Findings& findings);

  const Attest& attest() const { return attest_; }
  const QuoteInfo& info() const { return std::get<QuoteInfo>(attest_.body); }
  const SigningScheme& scheme() const { return scheme_; }
  const Digest& digest() const { return digest_; }  // SHA-256 over the TPMS_ATTEST

 private:
  VerifiedQuote(Attest attest, const SigningScheme& scheme, const Digest& digest)
      : attest_(std::move(attest)), scheme_(scheme), digest_(digest) {}
  Attest attest_;
  SigningScheme scheme_;
  Digest digest_;
};

// What a relying party expects; what is absent is named as not checked. Views must outlive the
// call.
struct QuoteExpectation {
  std::optional<ByteView> extra_data;  // compared whole, in constant time
  // Exactly these PCRs of exactly these banks, in whatever order they were signed.
  std::optional<std::vector<PcrSelection>> selection;
  // Every quoted value and no other; the digest is recomputed over them in the signed order.
  const PcrValues* pcrs = nullptr;
  bool pcrs_are_the_senders = false;  // and say nothing of what the verifier wants to see
  enum class Sha1Bank { refuse, warn } sha1_bank = Sha1Bank::refuse;
};

// A quote that selects no PCR at all says nothing and is refused, as is a bank of an algorithm that
// is not SHA-1, SHA-256, SHA-384 or SHA-512. One bank in several selections counts as their union
// where the verifier says which PCRs it wants, and is refused (Reason::selection) where it does
// not: no TPM is asked so, and what reads the selection next may take the first alone. An unsafe
// clock is a warning.
Checked<void> check_quote(const VerifiedQuote& quote, const QuoteExpectation& expect,
                          Findings& findings);

// "RSASSA with sha256", for people.
std::string scheme_text(const SigningScheme& scheme);
std::string hex(ByteView bytes);

}  // namespace badged::attest::tpm
