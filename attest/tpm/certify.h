// TPM2_Certify statements: what an attestation key says about another key of its TPM.
#pragma once

#include <memory>
#include <optional>

#include "attest/reason.h"
#include "attest/tpm/structures.h"
#include "keystore/key.h"

namespace badged::attest::tpm {

// A key that signs attestations: pinned or enrolled before, never taken from the evidence itself.
// Move-only. Not thread-safe.
class AttestationKey {
 public:
  // Refused unless restricted, sign, fixedTPM, fixedParent and sensitiveDataOrigin are set and
  // decrypt is clear (H22), the hash is not SHA-1, and the key is P-256, P-384 or RSA of 2048 to
  // 4096 bits.
  static Checked<AttestationKey> from_public_area(ByteView tpmt_public);
  // A bare point says nothing of attributes: whoever pinned it vouches for them.
  static Checked<AttestationKey> from_key(const keystore::PublicKey& key);
  // As admins keep one: SubjectPublicKeyInfo as PEM or DER (says nothing of attributes),
  // TPMT_PUBLIC or TPM2B_PUBLIC. A forbidden algorithm or size is refused, never malformed.
  static Checked<AttestationKey> from_file(ByteView content);

  AttestationKey(AttestationKey&&) noexcept;
  AttestationKey& operator=(AttestationKey&&) noexcept;
  ~AttestationKey();

  // `signature` is a TPMT_SIGNATURE over `message`. The scheme must be one that fits the key and
  // its hash SHA-256, SHA-384 or SHA-512; SHA-1 is a refusal (algorithm). Gives the scheme used.
  Checked<SigningScheme> verify(ByteView message, ByteView signature) const;

  // Empty where only the bare key is known.
  const Bytes& name() const;
  // Equal for two keys exactly when they are the same key, however each was given.
  const Digest& fingerprint() const;

 private:
  struct State;
  explicit AttestationKey(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// An attestation whose signature by a given AK holds and whose magic is a TPM's. Nothing is parsed
// before that, and nothing but the magic before that is right: bytes that no TPM made are a
// refusal, whatever follows.
class VerifiedAttest {
 public:
  static Checked<VerifiedAttest> verify(const AttestationKey& ak, ByteView attest,
                                        ByteView signature);
  // Parsed to its end, of that type. Another type is a refusal whatever its body is: that is not
  // read.
  Checked<Attest> as(AttestType wanted) const;
  const SigningScheme& scheme() const { return scheme_; }

 private:
  VerifiedAttest(ByteView bytes, const SigningScheme& scheme)
      : bytes_(bytes.begin(), bytes.end()), scheme_(scheme) {}
  Bytes bytes_;
  SigningScheme scheme_;
};

// A key of which the TPM says: it lives in me, was made in me and cannot leave. Only
// verify_certification makes one.
class CertifiedKey {
 public:
  const PublicArea& area() const { return area_; }
  const Bytes& name() const { return name_; }
  const Attest& attest() const { return attest_; }  // clock, firmware, extra data

 private:
  friend Checked<CertifiedKey> verify_certification(const AttestationKey&,
                                                    const keystore::Certification&,
                                                    std::optional<ByteView>);
  CertifiedKey(PublicArea area, Bytes name, Attest attest)
      : area_(std::move(area)), name_(std::move(name)), attest_(std::move(attest)) {}
  PublicArea area_;
  Bytes name_;
  Attest attest_;
};

// Signature by the AK, magic, type CERTIFY, the Name of the public area, and its attributes sign,
// fixedTPM, fixedParent and sensitiveDataOrigin. `extra_data`, where given, must be equal, not a
// prefix.
Checked<CertifiedKey> verify_certification(const AttestationKey& ak,
                                           const keystore::Certification& certification,
                                           std::optional<ByteView> extra_data = std::nullopt);

}  // namespace badged::attest::tpm
