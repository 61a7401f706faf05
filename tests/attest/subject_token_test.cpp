// Key sets of other issuers and the tokens that they sign (H13). Other algorithms than ES256 come
// from a real provider in tests/scenarios/test_exchange.py.
#include "attest/jose/subject_token.h"

#include <array>

#include "tests/attest/catch.h"
#include "tests/attest/maker.h"

using namespace badged;
using namespace badged::attest;
using namespace badged::test;

namespace {

namespace json = boost::json;

constexpr std::array kAll{SubjectAlgorithm::es256, SubjectAlgorithm::rs256, SubjectAlgorithm::ps256,
                          SubjectAlgorithm::eddsa};
constexpr const char* kPeople = "https://idp.example.org";

struct SubjectMaker {
  keystore::MemoryKey key = new_key();
  json::object header{{"alg", "ES256"}, {"typ", "JWT"}, {"kid", "k1"}};
  json::object claims{{"iss", kPeople},    {"sub", "alice"}, {"aud", kIssuer},
                      {"exp", kNow + 600}, {"jti", "j1"},    {"scope", "invoices.read"}};

  std::string jwks(std::string_view members = R"(,"kid":"k1")") const {
    std::string out = "{\"keys\":[";
    append_jwk(out, key.public_key());
    out.insert(out.size() - 1, members);
    return out + "]}";
  }
  Checked<SubjectToken> verify() const {
    const auto compact = sign_jws(key, json::serialize(header), json::serialize(claims));
    const auto keys = TrustedKeys::parse(jwks(), kAll).value();
    const auto token = UnverifiedSubject::parse(compact);
    if (!token) return token.error();
    const auto* found = keys.find(token->kid());
    if (found == nullptr) return reject(Reason::unknown_key, "unknown");
    return token->verify(*found, {kPeople, kIssuer, kNow});
  }
  Reason refusal() const {
    const auto verified = verify();
    if (verified) throw std::logic_error("the token was accepted");
    return verified.error().reason;
  }
};

}  // namespace

TEST_CASE("reads a good subject token") {
  SubjectMaker maker;
  maker.claims["act"] = {{"sub", "b"}, {"iss", "https://y"}, {"act", {{"sub", "a"}}}};
  maker.claims["may_act"] = {{"sub", "c"}};
  maker.claims["cnf"] = {{"jkt", std::string(43, 'A')}};
  maker.claims["authorization_details"] = {{{"type", "payment"}}};
  const auto token = maker.verify().value();
  CHECK(token.subject == "alice");
  CHECK(token.expires_at == kNow + 600);
  CHECK(token.scope == "invoices.read");
  CHECK(token.jkt == std::string(43, 'A'));
  CHECK(token.may_act->subject == "c");
  CHECK(token.authorization_details == R"([{"type":"payment"}])");
  std::string act;
  append_act(act, token.actors);
  CHECK(act == R"({"sub":"b","iss":"https://y","act":{"sub":"a"}})");
}

TEST_CASE("takes an array of one audience and no other array") {
  SubjectMaker maker;
  maker.claims["aud"] = {kIssuer};
  CHECK(maker.verify());
  maker.claims["aud"] = json::array{};
  CHECK(maker.refusal() == Reason::audience);
  maker.claims["aud"] = {kIssuer, kIssuer};
  CHECK(maker.refusal() == Reason::audience);
  maker.claims["aud"] = json::array{1};
  CHECK(maker.refusal() == Reason::audience);
  maker.claims["aud"] = 1;
  CHECK(maker.refusal() == Reason::bad_claim);
  maker.claims["aud"] = std::string(kIssuer) + "/";
  CHECK(maker.refusal() == Reason::audience);
}

TEST_CASE("refuses each wrong claim of a subject token (H13)") {
  const std::pair<const char*, std::pair<json::value, Reason>> cases[] = {
      {"iss", {"https://evil.example", Reason::issuer}},
      {"iss", {nullptr, Reason::bad_claim}},
      {"sub", {"", Reason::bad_claim}},
      {"sub", {json::string(513, 'a'), Reason::bad_claim}},
      {"sub", {" spiffe://example.org/host/h/agent/a", Reason::bad_claim}},
      {"sub", {"a\nb", Reason::bad_claim}},
      {"sub", {"alice\xe2\x80\xae", Reason::bad_claim}},
      {"sub", {"al\xe2\x80\x8bice", Reason::bad_claim}},
      {"act", {{{"sub", "a b"}}, Reason::bad_claim}},
      {"act", {{{"sub", "a\xc2\xa0z"}}, Reason::bad_claim}},
      {"act", {{{"sub", "a"}, {"act", {{"sub", "b\x7f"}}}}, Reason::bad_claim}},
      {"exp", {kNow, Reason::expired}},
      {"exp", {"1900000000", Reason::bad_claim}},
      {"exp", {1e9 + 0.5, Reason::bad_claim}},
      {"exp", {-1, Reason::bad_claim}},
      {"nbf", {kNow + 11, Reason::not_yet_valid}},
      {"iat", {kNow + 11, Reason::not_yet_valid}},
      {"scope", {"", Reason::bad_claim}},
      {"scope", {{"a", "b"}, Reason::bad_claim}},
      {"cnf", {{{"x5t#S256", "a"}}, Reason::bad_claim}},
      {"cnf", {{{"jkt", "short"}}, Reason::bad_claim}},
      {"act", {"agent", Reason::bad_claim}},
      {"act", {json::object{}, Reason::missing_claim}},
      {"may_act", {json::object{}, Reason::bad_claim}},
      {"may_act", {{{"sub", "a"}, {"role", "b"}}, Reason::bad_claim}},
  };
  for (const auto& [name, wanted] : cases) {
    SubjectMaker maker;
    maker.claims[name] = wanted.first;
    INFO(name << " = " << json::serialize(wanted.first));
    CHECK(maker.refusal() == wanted.second);
  }
  for (const char* name : {"iss", "sub", "aud", "exp"}) {
    SubjectMaker maker;
    maker.claims.erase(name);
    INFO(name);
    CHECK(maker.refusal() == Reason::missing_claim);
  }
}

TEST_CASE("bounds the chain of actors of a subject token") {
  SubjectMaker maker;
  json::object chain{{"sub", "1"}};
  for (int i = 2; i <= static_cast<int>(kMaxActors); ++i)
    chain = {{"sub", std::to_string(i)}, {"act", chain}};
  maker.claims["act"] = chain;
  CHECK(maker.verify()->actors.front().subject == std::to_string(kMaxActors));
  maker.claims["act"] = {{"sub", "more"}, {"act", chain}};
  CHECK(maker.refusal() == Reason::too_large);
}

TEST_CASE("looks at a subject token's header before any key (H13)") {
  const std::pair<const char*, std::pair<json::value, Reason>> cases[] = {
      {"alg", {"none", Reason::algorithm}},
      {"alg", {"HS256", Reason::algorithm}},
      {"alg", {"es256", Reason::algorithm}},
      {"alg", {"RS256", Reason::algorithm}},
      {"crit", {{"x"}, Reason::critical}},
      {"jku", {"https://x", Reason::foreign_key}},
      {"x5u", {"https://x", Reason::foreign_key}},
      {"x5c", {{"x"}, Reason::foreign_key}},
      {"jwk", {json::object{}, Reason::foreign_key}},
      {"kid", {"", Reason::unknown_key}},
      {"kid", {"k2", Reason::unknown_key}},
      {"kid", {7, Reason::unknown_key}}};
  for (const auto& [name, wanted] : cases) {
    SubjectMaker maker;
    maker.header[name] = wanted.first;
    INFO(name << " = " << json::serialize(wanted.first));
    CHECK(maker.refusal() == wanted.second);
  }
}

TEST_CASE("pins one algorithm to each key of another issuer's set") {
  SubjectMaker maker;
  constexpr std::array kRsaOnly{SubjectAlgorithm::rs256, SubjectAlgorithm::ps256};
  CHECK_FALSE(TrustedKeys::parse(maker.jwks(), kRsaOnly));
  CHECK_FALSE(TrustedKeys::parse(maker.jwks(R"(,"kid":"k1","alg":"ES384")"), kAll));
  CHECK_FALSE(TrustedKeys::parse(maker.jwks(R"(,"kid":"k1","use":"enc")"), kAll));
  CHECK(TrustedKeys::parse(maker.jwks(R"(,"kid":"k1","alg":"ES256","use":"sig")"), kAll));
  // RSA without `alg`: one pinned algorithm says which, two do not.
  const std::string rsa =
      R"({"keys":[{"kty":"RSA","kid":"k","e":"AQAB","n":")" + base64url(Bytes(256, 0xff)) + "\"}]}";
  constexpr std::array kPs{SubjectAlgorithm::ps256};
  CHECK(TrustedKeys::parse(rsa, kPs)->find("k")->algorithm() == SubjectAlgorithm::ps256);
  CHECK_FALSE(TrustedKeys::parse(rsa, kRsaOnly));
}

TEST_CASE("refuses key sets that are no key sets") {
  SubjectMaker maker;
  const auto rsa = [](std::size_t bytes, std::string_view e) {
    return R"({"keys":[{"kty":"RSA","alg":"RS256","kid":"k","e":")" + std::string(e) +
           R"(","n":")" + base64url(Bytes(bytes, 0xff)) + "\"}]}";
  };
  CHECK(TrustedKeys::parse(rsa(256, "AQAB"), kAll));
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), std::string(R"({"keys":{}})"),
        std::string(R"({"keys":[]})"), std::string(R"({"keys":[1]})"), maker.jwks(""),
        maker.jwks(R"(,"kid":"")"), maker.jwks(R"(,"kid":"k1","d":"AA")"),
        std::string(R"({"keys":[{"kty":"oct","k":"AA","kid":"s"}]})"),
        std::string(R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"k"}]})"),
        rsa(255, "AQAB"), rsa(513, "AQAB"), rsa(2048, "AQAB"), rsa(256, "AQ"), rsa(256, "AQAA"),
        rsa(256, "AQABAQAB"), rsa(256, "")}) {
    INFO(bad.substr(0, 120));
    CHECK_FALSE(TrustedKeys::parse(bad, kAll));
  }
  std::string twice = maker.jwks();
  const auto one = twice.substr(9, twice.size() - 11);
  twice.insert(twice.size() - 2, "," + one);
  CHECK_FALSE(TrustedKeys::parse(twice, kAll));
}
