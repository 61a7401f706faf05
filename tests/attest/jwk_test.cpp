#include "attest/jose/jwk.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include "tests/attest/catch.h"

#include "tests/attest/maker.h"

using namespace badged;
using namespace badged::attest;
namespace json = boost::json;

// RFC 9449, 4.2 and 6.1: a P-256 key and its thumbprint.
static json::object rfc_key() {
  return {{"kty", "EC"},
          {"x", "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"},
          {"y", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"},
          {"crv", "P-256"}};
}

static bool accepts(const json::object& jwk) {
  return public_key_from_jwk(jwk).has_value();
}

static bool accepts_with(const char* name, json::value value) {
  auto jwk = rfc_key();
  jwk[name] = std::move(value);
  return accepts(jwk);
}

TEST_CASE("the thumbprint is that of RFC 7638 over an EC key (RFC 9449 6.1)") {
  const auto key = public_key_from_jwk(rfc_key()).value();
  CHECK(thumbprint(key) == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}

TEST_CASE("a JWK survives being written") {
  const auto key = test::new_key().public_key();
  std::string text;
  append_jwk(text, key);
  CHECK(public_key_from_jwk(json::parse(text).as_object()).value() == key);
}

TEST_CASE("a JWK with a private member is refused") {
  for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
    CHECK_FALSE(accepts_with(name, "AA"));
}

TEST_CASE("a JWK of another kind is refused") {
  CHECK(accepts_with("alg", "ES256"));
  CHECK(accepts_with("use", "sig"));
  CHECK(accepts_with("key_ops", json::array{"verify"}));
  CHECK_FALSE(accepts_with("kty", "RSA"));
  CHECK_FALSE(accepts_with("kty", "oct"));
  CHECK_FALSE(accepts_with("crv", "P-384"));
  CHECK_FALSE(accepts_with("crv", "secp256k1"));
  CHECK_FALSE(accepts_with("alg", "ES384"));
  CHECK_FALSE(accepts_with("alg", nullptr));
  CHECK_FALSE(accepts_with("use", "enc"));
  CHECK_FALSE(accepts_with("key_ops", json::array{"sign"}));
  CHECK_FALSE(accepts({}));
}

TEST_CASE("a JWK whose point is not on P-256 is refused") {
  CHECK_FALSE(accepts_with("x", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"));
  CHECK_FALSE(accepts_with("x", json::string(43, 'A')));
  // x = p: congruent to 0, but not reduced.
  CHECK_FALSE(accepts_with("x", "_____wAAAAEAAAAAAAAAAAAAAAD_______________8"));
}

TEST_CASE("a JWK whose coordinates have not exactly 32 bytes is refused") {
  CHECK_FALSE(accepts_with("y", "VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"));
  CHECK_FALSE(accepts_with("y", "AA9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"));
  CHECK_FALSE(accepts_with("y", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA="));
  CHECK_FALSE(accepts_with("y", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDB"));
  CHECK_FALSE(accepts_with("y", 5));
}

static json::object entry(const char* kid) {
  auto jwk = rfc_key();
  jwk["kid"] = kid;
  return jwk;
}

static Result<Jwks> read_set(json::array keys) {
  return Jwks::parse(json::serialize(json::object{{"keys", std::move(keys)}}));
}

TEST_CASE("a key set keeps who vouches for its keys") {
  const keystore::Certification statement{{1, 2}, {3}, {4, 5, 6}};
  const auto tpm = test::new_key().public_key(), memory = test::new_key().public_key();
  const Jwks set({{"a", tpm, "tpm", statement}, {"b", memory, "locked-memory", "h.p.s"}});
  const auto read = Jwks::parse(set.to_json());
  REQUIRE(read);
  REQUIRE(read->keys().size() == 2);
  CHECK(read->find("a")->custody == "tpm");
  CHECK(read->find("a")->key == tpm);
  CHECK(std::get<keystore::Certification>(read->find("a")->vouch).attest == Bytes{3});
  CHECK(std::get<std::string>(read->find("b")->vouch) == "h.p.s");
  CHECK(read->find("c") == nullptr);
  CHECK(read->to_json() == set.to_json());
}

TEST_CASE("a key set leaves out what can never verify ES256") {
  const json::object rsa{{"kty", "RSA"}, {"kid", "r"}, {"n", "AQAB"}, {"e", "AQAB"}};
  auto other_alg = entry("o");
  other_alg["alg"] = "ES384";
  auto set = read_set({rsa, other_alg, entry("a")});
  REQUIRE(set);
  CHECK(set->keys().size() == 1);
  CHECK(set->find("r") == nullptr);
}

TEST_CASE("a key set that publishes a private or secret key is refused") {
  CHECK_FALSE(read_set({json::object{{"kty", "oct"}, {"k", "AA"}, {"kid", "o"}}}));
  auto leaked = entry("a");
  leaked["d"] = "AA";
  CHECK_FALSE(read_set({leaked}));
}

TEST_CASE("a key set with unclear keys is refused") {
  CHECK_FALSE(read_set({rfc_key()}));  // no kid
  CHECK_FALSE(read_set({entry("")}));
  CHECK_FALSE(read_set({entry("a"), entry("a")}));
  CHECK_FALSE(read_set({5}));
  auto off = entry("a");
  off["x"] = off["y"];
  CHECK_FALSE(read_set({off}));
  auto odd = entry("a");
  odd["badged_vouch"] = 5;
  CHECK_FALSE(read_set({odd}));
  CHECK_FALSE(Jwks::parse("{}"));
  CHECK_FALSE(Jwks::parse("[]"));
  json::array many;
  for (std::size_t i = 0; i <= kJwksKeys; ++i) many.push_back(entry(std::to_string(i).c_str()));
  CHECK_FALSE(read_set(many));
  CHECK_FALSE(Jwks::parse(R"({"keys":[],"keys":[]})"));
}
