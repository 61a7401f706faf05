// Subject tokens and key sets of other issuers. The input is a set's text, a newline, and a token:
// what is not signed by a key of the set is refused; what is signed (by the fuzzer's own key) is
// read within its bounds, and a chain of actors survives being written.
#include "attest/jose/subject_token.h"

#include <array>

#include "attest/jose/jwk.h"
#include "attest/json/strict.h"
#include "attest/limits.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/signer.h"

namespace {

using namespace badged;
using attest::SubjectAlgorithm;

constexpr std::array kAll{SubjectAlgorithm::es256, SubjectAlgorithm::rs256, SubjectAlgorithm::ps256,
                          SubjectAlgorithm::eddsa};
constexpr attest::SubjectExpectation kExpect{"https://i", "https://b", 1'800'000'000};

void check_read(const attest::SubjectToken& token) {
  require(!token.subject.empty() && !token.issuer.empty(), "a subject has a name and an issuer");
  require(token.actors.size() <= attest::kMaxActors, "a chain is bounded");
  std::string act = "{\"iss\":\"https://i\",\"sub\":\"s\"";
  if (!token.actors.empty()) {
    act += ",\"act\":";
    attest::append_act(act, token.actors);
  }
  const auto written = attest::parse_strict_object(act + '}');
  require(written.has_value(), "a chain is written as JSON");
  const auto again = attest::read_subject(*written);
  require(again.has_value() && again->actors.size() == token.actors.size(), "none is lost");
  for (std::size_t i = 0; i < token.actors.size(); ++i)
    require(again->actors[i].subject == token.actors[i].subject, "their order stays");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  const auto newline = std::min(text.find('\n'), text.size());
  const auto first = text.substr(0, newline);
  const auto rest = text.substr(std::min(newline + 1, text.size()));
  if (const auto keys = attest::TrustedKeys::parse(first, kAll)) {
    require(keys->size() > 0 && keys->size() <= attest::kJwksKeys, "a set has usable keys");
    if (const auto token = attest::UnverifiedSubject::parse(rest))
      if (const auto* key = keys->find(token->kid()))
        require(!token->verify(*key, kExpect), "nobody here can sign with a foreign key");
  }
  // The same bytes as header and payload of a token that is signed.
  static const fuzz::Signer signer;
  static const auto own = [] {
    std::string jwks = "{\"keys\":[";
    attest::append_jwk(jwks, signer.key);
    jwks.insert(jwks.size() - 1, ",\"kid\":\"k\"");
    return attest::TrustedKeys::parse(jwks + "]}", kAll).value();
  }();
  const auto compact = signer.jws(first, rest);
  if (const auto token = attest::UnverifiedSubject::parse(compact))
    if (const auto* key = own.find(token->kid()))
      if (const auto verified = token->verify(*key, kExpect)) {
        require(verified->issuer == kExpect.issuer, "iss is the one that was asked for");
        require(verified->expires_at > kExpect.now, "it has not expired");
        check_read(*verified);
      }
  return 0;
}
