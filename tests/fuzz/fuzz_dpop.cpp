// Proofs: the input itself, and the input as claims, and as the jwk, of a proof that is signed.
#include "attest/jose/dpop.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/signer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace badged;
  static const fuzz::Signer signer;
  static const std::string jkt = attest::thumbprint(signer.key);
  attest::ReplayCache replay(0, 4);
  const auto text = as_text({data, size});
  const attest::ProofExpectation expect{.method = "GET",
                                        .url = "https://b.example/x",
                                        .access_token = "token",
                                        .jkt = jkt,
                                        .nonce = std::nullopt,
                                        .now = 1'800'000'000};
  if (auto proof = attest::verify_proof(text, expect, nullptr))
    require(proof->jkt == jkt, "an accepted proof is by the bound key");
  const auto signed_claims = signer.jws(attest::proof_header(signer.key), text);
  if (auto proof = attest::verify_proof(signed_claims, expect, &replay)) {
    require(proof->issued_at >= expect.now - attest::kProofMaxAge, "an accepted proof is fresh");
    require(!attest::verify_proof(signed_claims, expect, &replay), "a proof is accepted once");
  }
  const std::string header = R"({"typ":"dpop+jwt","alg":"ES256","jwk":)" + std::string(text) + "}";
  if (auto proof = attest::verify_proof(signer.jws(header, "{}"), expect, nullptr))
    require(false, "a proof without claims is refused");
  return 0;
}
