// TPM structures: every parser over the input, and the statement check over three parts of it.
#include "attest/tpm/certify.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/signer.h"

namespace {

using namespace badged;

// The input as an attestation that the key has signed.
void check_signed(ByteView attest, ByteView public_area) {
  static const fuzz::Signer signer;
  static const auto ak = attest::tpm::AttestationKey::from_key(signer.key).value();
  const Signature raw = signer.sign(keystore::sha256(attest));
  Bytes signature{0x00, 0x18, 0x00, 0x0B, 0x00, 0x20};
  signature.insert(signature.end(), raw.begin(), raw.begin() + 32);
  signature.insert(signature.end(), {0x00, 0x20});
  signature.insert(signature.end(), raw.begin() + 32, raw.end());
  const keystore::Certification statement{Bytes(public_area.begin(), public_area.end()),
                                          Bytes(attest.begin(), attest.end()), signature};
  const auto certified = attest::tpm::verify_certification(ak, statement);
  if (certified)
    require(certified->area().has(attest::tpm::attribute::fixed_tpm),
            "a certified key cannot leave its TPM");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  const auto area = attest::tpm::parse_public_area(bytes);
  if (area) {
    (void)attest::tpm::p256_key(*area);
    (void)attest::tpm::compute_name(bytes);
    (void)attest::tpm::AttestationKey::from_public_area(bytes);
  }
  (void)attest::tpm::parse_attest(bytes);
  const auto signature = attest::tpm::parse_signature(bytes);
  if (signature)
    if (const auto* ecdsa = std::get_if<attest::tpm::EcdsaSignature>(&signature->value))
      (void)attest::tpm::fixed_signature(*ecdsa);
  if (size == 0) return 0;
  // A size, a public area of that size, and an attestation about it.
  const std::size_t cut = std::min<std::size_t>(data[0], size - 1);
  check_signed(bytes.subspan(1 + cut), bytes.subspan(1, cut));
  return 0;
}
