// H14: each of the twelve checks of RFC 9449 4.3 alone wrong.
#include "attest/jose/dpop.h"

#include <boost/json/parse.hpp>
#include "tests/attest/catch.h"

#include "tests/attest/maker.h"

using namespace badged;
using namespace badged::attest;
using test::kNow;
using test::ProofMaker;
namespace json = boost::json;

namespace {

// RFC 9449, figures 2 and 13.
constexpr std::string_view kRfcHeader =
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUk"
    "lD"
    "UkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2"
    "R2"
    "R1JEQSIsImNydiI6IlAtMjU2In19";
constexpr std::string_view kRfcTokenProof =
    ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY"
    "29t"
    "L3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-"
    "FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x"
    "7NVY-FNyJK70nfbV37xRZT3Lg";
constexpr std::string_view kRfcResourceProof =
    ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlL"
    "m9y"
    "Zy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG"
    "9h"
    "Tnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-"
    "yqyVnmcw6Fy1dqd-j"
    "fxSYoMxhAJpLjA";
constexpr std::string_view kRfcJkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

Reason refusal_with(const char* claim, json::value value) {
  ProofMaker maker;
  maker.claims[claim] = std::move(value);
  return maker.refusal();
}

bool accepts_url(std::string_view requested, const char* htu = test::kUrl) {
  ProofMaker maker;
  maker.claims["htu"] = htu;
  auto expect = maker.expectation();
  expect.url = requested;
  const auto proof = verify_proof(maker.make(), expect, nullptr);
  if (!proof) CHECK(proof.error().reason == Reason::url);
  return proof.has_value();
}

}  // namespace

TEST_CASE("the proof for a token request of RFC 9449 verifies") {
  const std::string proof = std::string(kRfcHeader).append(kRfcTokenProof);
  const auto verified = verify_proof(proof,
                                     {.method = "POST",
                                      .url = "https://server.example.com/token",
                                      .access_token = {},
                                      .jkt = {},
                                      .nonce = {},
                                      .now = 1562262616},
                                     nullptr);
  REQUIRE(verified);
  CHECK(verified->jkt == kRfcJkt);
  CHECK(verified->jti == "-BwC3ESc6acc2lTc");
}

TEST_CASE("the proof for a resource request of RFC 9449 verifies") {
  const std::string proof = std::string(kRfcHeader).append(kRfcResourceProof);
  const ProofExpectation expect{.method = "GET",
                                .url = "https://resource.example.org/protectedresource",
                                .access_token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
                                .jkt = kRfcJkt,
                                .nonce = {},
                                .now = 1562262618};
  CHECK(verify_proof(proof, expect, nullptr));
}

TEST_CASE("a proof that we make is one that we accept") {
  const auto key = test::new_key();
  const std::string proof = test::sign_jws(
      key, proof_header(key.public_key()),
      proof_payload({"jti-00001", "GET", test::kUrl, "a.token", "a \"nonce\"", kNow}));
  const auto verified = verify_proof(proof,
                                     {.method = "GET",
                                      .url = test::kUrl,
                                      .access_token = "a.token",
                                      .jkt = {},
                                      .nonce = "a \"nonce\"",
                                      .now = kNow},
                                     nullptr);
  REQUIRE(verified);
  CHECK(verified->jkt == thumbprint(key.public_key()));
  CHECK(verified->nonce == "a \"nonce\"");
}

TEST_CASE("check 1: refuses several DPoP header fields, or none") {
  const std::string_view one[] = {"a"}, two[] = {"a", "a"};
  CHECK(single_proof(one).value() == "a");
  CHECK(single_proof(two).error().reason == Reason::several_proofs);
  CHECK(single_proof({}).error().reason == Reason::no_proof);
}

TEST_CASE("check 2: refuses a proof that is no well-formed JWT") {
  ProofMaker maker;
  for (const std::string& bad :
       {std::string("x"), maker.make() + ", " + maker.make(), maker.make() + "="})
    CHECK(verify_proof(bad, maker.expectation(), nullptr).error().reason == Reason::malformed);
}

TEST_CASE("check 3: refuses a proof without a required claim") {
  for (const char* claim : {"jti", "htm", "htu", "iat", "ath"}) {
    ProofMaker maker;
    maker.claims.erase(claim);
    INFO(claim);
    CHECK(maker.refusal() == Reason::missing_claim);
  }
  for (const char* claim : {"jti", "htm", "htu", "iat", "ath"}) {
    INFO(claim);
    CHECK(refusal_with(claim, json::array{}) == Reason::bad_claim);
  }
}

TEST_CASE("check 4: refuses a typ that is not dpop+jwt") {
  ProofMaker maker;
  maker.header["typ"] = "at+jwt";
  CHECK(maker.refusal() == Reason::type);
  maker.header.erase("typ");
  CHECK(maker.refusal() == Reason::type);
}

TEST_CASE("check 5: refuses none, symmetric and unlisted algorithms") {
  for (const char* alg : {"none", "HS256", "RS256", "ES384"}) {
    ProofMaker maker;
    maker.header["alg"] = alg;
    CHECK(maker.refusal() == Reason::algorithm);
  }
}

TEST_CASE("check 6: refuses a signature by another key than the one in jwk") {
  ProofMaker maker, other;
  maker.header["jwk"] = other.header["jwk"];
  CHECK(maker.refusal() == Reason::signature);
}

TEST_CASE("check 7: refuses a jwk that holds a private key, or none") {
  ProofMaker maker;
  maker.header["jwk"].as_object()["d"] = std::string(43, 'A');
  CHECK(maker.refusal() == Reason::proof_key);
  maker.header["jwk"] = "key";
  CHECK(maker.refusal() == Reason::proof_key);
  maker.header.erase("jwk");
  CHECK(maker.refusal() == Reason::proof_key);
}

TEST_CASE("check 8: refuses a proof for another method") {
  CHECK(refusal_with("htm", "POST") == Reason::method);
  CHECK(refusal_with("htm", "get") == Reason::method);
}

TEST_CASE("check 9: refuses a proof for another URL, accepts the same in another form") {
  CHECK(accepts_url(test::kUrl));
  CHECK(accepts_url("HTTPS://Ledger.Example.org:443/api/./x/../invoices?page=2"));
  CHECK(accepts_url("https://ledger.example.org/%61pi/invoices"));
  CHECK(accepts_url(test::kUrl, "https://LEDGER.example.org:443/api/invoices"));
  CHECK_FALSE(accepts_url("https://ledger.example.org/api/invoices/"));
  CHECK_FALSE(accepts_url("https://ledger.example.org/API/invoices"));
  CHECK_FALSE(accepts_url("https://ledger.example.org/api%2Finvoices"));
  CHECK_FALSE(accepts_url("http://ledger.example.org/api/invoices"));
  CHECK_FALSE(accepts_url("https://ledger.example.org:8443/api/invoices"));
  CHECK_FALSE(accepts_url("https://ledger.example.org.evil.example/api/invoices"));
  CHECK(accepts_url(test::kUrl, "https://ledger.example.org/api/invoices#f"));
  CHECK_FALSE(accepts_url(test::kUrl, "https://u@ledger.example.org/api/invoices"));
  CHECK_FALSE(accepts_url(test::kUrl, "/api/invoices"));
}

TEST_CASE("check 10: refuses a proof without the nonce that was given, or with another") {
  ProofMaker maker;
  auto expect = maker.expectation();
  expect.nonce = "n1";
  CHECK(verify_proof(maker.make(), expect, nullptr).error().reason == Reason::nonce);
  maker.claims["nonce"] = "n2";
  CHECK(verify_proof(maker.make(), expect, nullptr).error().reason == Reason::nonce);
  maker.claims["nonce"] = "n11";
  CHECK(verify_proof(maker.make(), expect, nullptr).error().reason == Reason::nonce);
  maker.claims["nonce"] = "n1";
  CHECK(verify_proof(maker.make(), expect, nullptr));
  CHECK(refusal_with("nonce", 5) == Reason::bad_claim);
}

TEST_CASE("check 11: refuses a proof that is too old or from the future") {
  for (const std::int64_t good : {kNow, kNow - kProofMaxAge, kNow + kFutureLeeway}) {
    ProofMaker maker;
    maker.claims["iat"] = good;
    CHECK(maker.verify());
  }
  for (const std::int64_t bad :
       {kNow - kProofMaxAge - 1, kNow + kFutureLeeway + 1, kNow - 3600, kNow + 3600})
    CHECK(refusal_with("iat", bad) == Reason::stale);
  CHECK(refusal_with("iat", 1.8e9) == Reason::bad_claim);
  CHECK(refusal_with("iat", -1) == Reason::bad_claim);
}

TEST_CASE("check 12: refuses a proof for another token") {
  CHECK(refusal_with("ath", json::string(test::hash_of("another token"))) == Reason::token_hash);
  CHECK(refusal_with("ath", json::string(test::hash_of("some.access.token") + "=")) ==
        Reason::token_hash);
}

TEST_CASE("check 12: refuses a proof by a key that the token is not bound to") {
  ProofMaker maker, thief;
  auto expect = maker.expectation();
  CHECK(verify_proof(thief.make(), expect, nullptr).error().reason == Reason::binding);
}

TEST_CASE("refuses a proof whose jti is too short or too long to be kept") {
  CHECK(refusal_with("jti", "short") == Reason::bad_claim);
  CHECK(refusal_with("jti", json::string(kJtiMax + 1, 'a')) == Reason::bad_claim);
}

TEST_CASE("refuses a proof that was used before") {
  ProofMaker maker;
  ReplayCache replay(kNow - 1000);
  CHECK(verify_proof(maker.make(), maker.expectation(), &replay));
  CHECK(verify_proof(maker.make(), maker.expectation(), &replay).error().reason ==
        Reason::replayed);
}

TEST_CASE("a refused proof leaves no trace in the replay cache") {
  ProofMaker maker;
  ReplayCache replay(kNow - 1000);
  auto expect = maker.expectation();
  expect.method = "POST";
  CHECK_FALSE(verify_proof(maker.make(), expect, &replay));
  CHECK(replay.size() == 0);
  CHECK(verify_proof(maker.make(), maker.expectation(), &replay));
}
