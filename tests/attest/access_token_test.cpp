#include "attest/jose/access_token.h"

#include "tests/attest/catch.h"

#include "tests/attest/maker.h"

using namespace badged;
using namespace badged::attest;
using test::kNow;
using test::refusal_of;
using test::TokenMaker;
using test::verify_token;
namespace json = boost::json;

static Reason refusal_with(const char* claim, json::value value) {
  TokenMaker maker;
  maker.claims[claim] = std::move(value);
  return refusal_of(maker, maker.make());
}

// The good claims with one replaced by JSON text.
static Reason refusal_with_text(const char* claim, std::string_view text) {
  TokenMaker maker;
  maker.claims.erase(claim);
  std::string payload = json::serialize(maker.claims);
  payload.pop_back();
  payload.append(",\"").append(claim).append("\":").append(text).append("}");
  return refusal_of(maker, maker.make_from(payload));
}

TEST_CASE("a good token gives all of its claims") {
  TokenMaker maker;
  const auto token = verify_token(maker, maker.make());
  REQUIRE(token);
  CHECK(token->issuer == test::kIssuer);
  CHECK(token->audience == test::kAudience);
  CHECK(token->subject == "spiffe://example.org/host/h/agent/invoice-bot");
  CHECK(token->client_id == "invoice-bot");
  CHECK(token->scope == "invoices.read");
  CHECK(token->txn == "txn-1");
  CHECK(token->jti == "token-1");
  CHECK(token->issued_at == kNow);
  CHECK(token->expires_at == kNow + 600);
  CHECK(token->jkt == maker.jkt);
  CHECK(token->bound());
  REQUIRE(token->badged);
  CHECK(token->badged->tier == "elevated");
  CHECK(token->badged->binding == "process");
  CHECK(token->badged->session == "s1");
  CHECK(token->badged->custody == "locked-memory");
  CHECK(token->claims == maker.claims);
}

TEST_CASE("a token by another key under the same kid is refused") {
  TokenMaker maker, forger;
  forger.header["kid"] = maker.kid;
  CHECK(refusal_of(maker, forger.make()) == Reason::signature);
}

TEST_CASE("a token whose kid names no key, or that has none, is refused") {
  TokenMaker maker;
  maker.header["kid"] = "another";
  CHECK(refusal_of(maker, maker.make()) == Reason::unknown_key);
  maker.header.erase("kid");
  CHECK(refusal_of(maker, maker.make()) == Reason::unknown_key);
  maker.header["kid"] = 5;
  CHECK(refusal_of(maker, maker.make()) == Reason::malformed);
}

TEST_CASE("a token signed by HMAC with the public key as the secret is refused") {
  TokenMaker maker;
  maker.header["alg"] = "HS256";
  CHECK(refusal_of(maker, maker.make()) == Reason::algorithm);
}

TEST_CASE("a proof is not taken for a token") {
  TokenMaker maker;
  maker.header["typ"] = "dpop+jwt";
  CHECK(refusal_of(maker, maker.make()) == Reason::type);
}

TEST_CASE("a token without a required claim is refused") {
  for (const char* claim : {"iss", "sub", "aud", "client_id", "iat", "exp", "jti"}) {
    TokenMaker maker;
    maker.claims.erase(claim);
    INFO(claim);
    CHECK(refusal_of(maker, maker.make()) == Reason::missing_claim);
  }
}

TEST_CASE("a token whose claims have another type is refused") {
  for (const char* claim : {"iss", "sub", "aud", "client_id", "jti", "scope", "txn"}) {
    INFO(claim);
    CHECK(refusal_with(claim, 5) == Reason::bad_claim);
    CHECK(refusal_with(claim, nullptr) == Reason::bad_claim);
  }
  CHECK(refusal_with("sub", "") == Reason::bad_claim);
  CHECK(refusal_with("scope", "") == Reason::bad_claim);
}

TEST_CASE("a token whose exp is a string, a fraction, huge, negative or beyond 2100 is refused") {
  for (const char* text : {"\"1800000600\"", "1800000600.0", "1800000600.5", "18e8", "1e308", "-1",
                           "null", "true", "9223372036854775807", "4102444801", "[1800000600]"}) {
    INFO(text);
    CHECK(refusal_with_text("exp", text) == Reason::bad_claim);
    CHECK(refusal_with_text("iat", text) == Reason::bad_claim);
  }
  CHECK(refusal_with_text("exp", "1e309") == Reason::malformed);
  CHECK(refusal_with_text("exp", "99999999999999999999") == Reason::malformed);
}

TEST_CASE("a token with a claim twice is refused") {
  TokenMaker maker;
  std::string payload = json::serialize(maker.claims);
  payload.pop_back();
  CHECK(refusal_of(maker, maker.make_from(payload + R"(,"aud":"https://ledger.example.org/"})")) ==
        Reason::malformed);
  CHECK(refusal_of(maker, maker.make_from(payload + ",\"\\u0065xp\":1900000000}")) ==
        Reason::malformed);
}

TEST_CASE("a token nested 10,000 deep is refused") {
  TokenMaker maker;
  const std::string deep = "{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}";
  const Reason reason = refusal_of(maker, maker.make_from(deep));
  CHECK((reason == Reason::malformed || reason == Reason::too_large));
}

TEST_CASE("a token of another issuer or for another audience is refused") {
  CHECK(refusal_with("iss", "https://badged.example.org/") == Reason::issuer);
  CHECK(refusal_with("iss", "https://evil.example") == Reason::issuer);
  CHECK(refusal_with("aud", "https://ledger.example.org") == Reason::audience);
  CHECK(refusal_with("aud", "HTTPS://ledger.example.org/") == Reason::audience);
}

TEST_CASE("a token with several audiences, or one in an array, is refused") {
  CHECK(refusal_with("aud", json::array{test::kAudience}) == Reason::bad_claim);
  CHECK(refusal_with("aud", json::array{test::kAudience, "https://other.example/"}) ==
        Reason::bad_claim);
}

TEST_CASE("a token is good until its exp and not at it, whichever way the clock steps") {
  TokenMaker maker;
  const std::string token = maker.make();
  CHECK(verify_token(maker, token, kNow + 599));
  CHECK(refusal_of(maker, token, kNow + 600) == Reason::expired);
  CHECK(refusal_of(maker, token, kNow + 3600) == Reason::expired);
  CHECK(verify_token(maker, token, kNow - kFutureLeeway));
  CHECK(refusal_of(maker, token, kNow - kFutureLeeway - 1) == Reason::not_yet_valid);
  CHECK(refusal_of(maker, token, kNow - 3600) == Reason::not_yet_valid);
}

TEST_CASE("a token with nbf is not good before it") {
  TokenMaker maker;
  maker.claims["nbf"] = kNow + 100;
  CHECK(refusal_of(maker, maker.make()) == Reason::not_yet_valid);
  CHECK(verify_token(maker, maker.make(), kNow + 100));
  CHECK(refusal_with("nbf", "soon") == Reason::bad_claim);
}

TEST_CASE("a token bound in a way that cannot be checked is refused") {
  CHECK(refusal_with("cnf", json::object{{"x5t#S256", "AA"}}) == Reason::bad_claim);
  CHECK(refusal_with("cnf", json::object{}) == Reason::bad_claim);
  CHECK(refusal_with("cnf", "jkt") == Reason::bad_claim);
  CHECK(refusal_with("cnf", json::object{{"jkt", "short"}}) == Reason::bad_claim);
  CHECK(refusal_with("cnf", json::object{{"jkt", std::string(43, 'A')}, {"x5t#S256", "AA"}}) ==
        Reason::bad_claim);
}

TEST_CASE("a bound token sent as Bearer is refused, and an unbound one sent as DPoP") {
  TokenMaker maker;
  const auto bound = verify_token(maker, maker.make()).value();
  CHECK(check_presentation(bound, Presented::dpop));
  CHECK(check_presentation(bound, Presented::bearer).error().reason == Reason::no_proof);
  maker.claims.erase("cnf");
  const auto bearer = verify_token(maker, maker.make()).value();
  CHECK_FALSE(bearer.bound());
  CHECK(check_presentation(bearer, Presented::bearer));
  CHECK(check_presentation(bearer, Presented::dpop).error().reason == Reason::binding);
}

TEST_CASE("a token whose badged claim is not ours is refused, one without it is good") {
  CHECK(refusal_with("badged", 5) == Reason::bad_claim);
  CHECK(refusal_with("badged", json::object{{"tier", "baseline"}}) == Reason::bad_claim);
  TokenMaker maker;
  maker.claims.erase("badged");
  CHECK(verify_token(maker, maker.make()));
}

TEST_CASE("a refusal never repeats the token") {
  TokenMaker maker;
  maker.claims["aud"] = "https://secret-canary.example/";
  const std::string token = maker.make();
  const auto refused = verify_token(maker, token);
  REQUIRE_FALSE(refused);
  for (const auto& text : {refused.error().what, refused.error().hint}) {
    CHECK(text.find("canary") == std::string::npos);
    CHECK(text.find(token.substr(0, 40)) == std::string::npos);
  }
}
