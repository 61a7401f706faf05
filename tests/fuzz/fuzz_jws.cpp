// Tokens: the outer shape of the input itself; and, since no fuzzer makes signatures, the input as
// the claims of a token that was signed by the pinned key.
#include <string>

#include "attest/jose/access_token.h"
#include "attest/jose/base64url.h"
#include "keystore/sha256.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/signer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace badged;
  static const fuzz::Signer signer;
  static const auto verifier =
      attest::TokenVerifier::create(
          attest::Jwks({{attest::thumbprint(signer.key), signer.key, "", {}}}))
          .value();
  const auto text = as_text({data, size});
  const attest::TokenExpectation expect{"https://a.example", "https://b.example/", 1'800'000'000};
  require(!verifier.verify(text, expect), "only the pinned key's tokens are accepted");
  const auto bytes = attest::decode_base64url(text, size);
  if (bytes) require(attest::base64url(*bytes) == text, "base64url has one text per value");

  const std::string header =
      R"({"alg":"ES256","typ":"at+jwt","kid":")" + attest::thumbprint(signer.key) + "\"}";
  const auto token = verifier.verify(signer.jws(header, text), expect);
  if (token) {
    require(token->audience == expect.audience && token->issuer == expect.issuer,
            "an accepted token is for us");
    require(token->expires_at > expect.now, "an accepted token has not expired");
  }
  (void)verifier.verify(signer.jws(text, "{}"), expect);
  return 0;
}
