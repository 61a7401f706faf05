// Attestation keys as files: PEM, DER, TPMT_PUBLIC, TPM2B_PUBLIC.
#include "attest/tpm/certify.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace badged;
  using badged::attest::tpm::AttestationKey;
  const auto key = AttestationKey::from_file(ByteView(data, size));
  if (!key) return 0;
  (void)key->verify(as_bytes("message"), ByteView(data, size));
  const auto again = AttestationKey::from_file(ByteView(data, size));
  require(again && again->fingerprint() == key->fingerprint(), "a file is one key");
  return 0;
}
