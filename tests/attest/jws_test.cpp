#include "attest/jose/jws.h"

#include <boost/json/parse.hpp>
#include "tests/attest/catch.h"

#include "attest/jose/vouch.h"
#include "tests/attest/maker.h"

using namespace badged;
using namespace badged::attest;
namespace json = boost::json;

static PublicKey rfc7515_key() {
  return public_key_from_jwk(json::parse(R"({"kty":"EC","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})")
                                 .as_object())
      .value();
}

TEST_CASE("the ES256 example of RFC 7515 A.3 verifies, and no bit of it may change") {
  const std::string input =
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv"
      "bS9pc19yb290Ijp0cnVlfQ";
  Signature signature;
  REQUIRE(decode_base64url(
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
      signature));
  const auto verifier = Es256Verifier::create(rfc7515_key()).value();
  CHECK(verifier.verify(as_bytes(input), signature));
  CHECK(verifier.verify(as_bytes(input), signature));  // it can be used again
  CHECK_FALSE(verifier.verify(as_bytes(input + "x"), signature));
  signature[63] ^= 1;
  CHECK_FALSE(verifier.verify(as_bytes(input), signature));
}

TEST_CASE("signatures of zeros, of the order and beyond never verify") {
  const auto verifier = Es256Verifier::create(rfc7515_key()).value();
  Signature bad{};
  CHECK_FALSE(verifier.verify(as_bytes("x"), bad));
  bad.fill(0xFF);
  CHECK_FALSE(verifier.verify(as_bytes("x"), bad));
  bad.fill(0);
  bad[31] = bad[63] = 1;
  CHECK_FALSE(verifier.verify(as_bytes("x"), bad));
}

// H15: r or s with leading zero bytes, as one signature in 128 has.
TEST_CASE("signatures with a short r or s verify in their fixed 64 bytes") {
  const auto key = test::new_key();
  const auto verifier = Es256Verifier::create(key.public_key()).value();
  bool short_r = false, short_s = false;
  for (int i = 0; !(short_r && short_s); ++i) {
    REQUIRE(i < 20000);
    const auto digest = keystore::sha256(as_bytes(std::to_string(i)));
    const auto signature = key.sign(digest).value();
    if (signature[0] != 0 && signature[32] != 0) continue;
    short_r = short_r || signature[0] == 0;
    short_s = short_s || signature[32] == 0;
    CHECK(verifier.verify_digest(digest, signature));
  }
}

TEST_CASE("a verifier is not made for a point off the curve") {
  auto key = rfc7515_key();
  key.y[31] ^= 1;
  CHECK_FALSE(Es256Verifier::create(key));
  CHECK_FALSE(Es256Verifier::create(PublicKey{}));
}

TEST_CASE("a verifier is not made for a coordinate that is not below p") {
  PublicKey key;  // x is 0
  REQUIRE(decode_base64url("ZkhceA4vg9ckM71dhKBrtlQcKvMdrocXKL-FahdPk_Q", key.y));
  CHECK(Es256Verifier::create(key));
  REQUIRE(decode_base64url("_____wAAAAEAAAAAAAAAAAAAAAD_______________8", key.x));  // p
  CHECK_FALSE(Es256Verifier::create(key));
}

static Checked<VerifiedJws> once(const std::string& compact, const PublicKey& key) {
  return UnverifiedJws::parse(compact, kAccessTokenUse).value().verify_once(key);
}

TEST_CASE("a key that is used once verifies what it signed, and nothing of the key before it") {
  const auto first = test::new_key(), second = test::new_key();
  const std::string header = R"({"alg":"ES256","typ":"at+jwt"})";
  const std::string by_first = test::sign_jws(first, header, R"({"a":1})");
  const std::string by_second = test::sign_jws(second, header, R"({"a":2})");
  CHECK(once(by_first, first.public_key())->claims().at("a") == 1);
  CHECK(once(by_second, second.public_key())->claims().at("a") == 2);
  CHECK(once(by_first, second.public_key()).error().reason == Reason::signature);
  CHECK(once(by_first, first.public_key()));
}

TEST_CASE("with a point off the curve nothing verifies once, not even by the key before it") {
  const auto key = test::new_key();
  const std::string compact =
      test::sign_jws(key, R"({"alg":"ES256","typ":"at+jwt"})", R"({"a":1})");
  REQUIRE(once(compact, key.public_key()));
  PublicKey beyond;  // not below p: OpenSSL refuses it before it touches the point it has
  beyond.x.fill(0xFF);
  CHECK(once(compact, beyond).error().reason == Reason::signature);
  PublicKey off = key.public_key();
  off.y[31] ^= 1;
  CHECK(once(compact, off).error().reason == Reason::signature);
  CHECK(once(compact, key.public_key()));
}

TEST_CASE("what an issuer writes, a verifier reads") {
  const auto key = test::new_key();
  const std::string compact =
      test::sign_jws(key, R"({"alg":"ES256","typ":"at+jwt"})", R"({"a":1})");
  auto jws = UnverifiedJws::parse(compact, kAccessTokenUse);
  REQUIRE(jws);
  const auto verified = std::move(*jws).verify(Es256Verifier::create(key.public_key()).value());
  REQUIRE(verified);
  CHECK(verified->claims().at("a") == 1);
  CHECK(compact.starts_with(encoded_header(R"({"alg":"ES256","typ":"at+jwt"})")));
}

static Reason parse_refusal(std::string_view compact, const JwsUse& use = kAccessTokenUse) {
  auto jws = UnverifiedJws::parse(compact, use);
  if (jws) throw std::logic_error("the JWS was accepted");
  return jws.error().reason;
}

static std::string with_header(std::string_view header) {
  return base64url(as_bytes(header)) + ".e30." + std::string(86, 'A');
}

// H13, clause by clause.
TEST_CASE("a JWS with alg none, HS256, RS256 or another curve is refused") {
  for (const char* alg : {"none", "None", "nOnE", "HS256", "HS512", "RS256", "PS256", "ES384",
                          "ES256K", "EdDSA", "es256", ""})
    CHECK(parse_refusal(with_header(std::string(R"({"typ":"at+jwt","alg":")") + alg + "\"}")) ==
          Reason::algorithm);
  CHECK(parse_refusal(with_header(R"({"typ":"at+jwt"})")) == Reason::algorithm);
  CHECK(parse_refusal(with_header(R"({"typ":"at+jwt","alg":["ES256"]})")) == Reason::algorithm);
}

TEST_CASE("a JWS that needs an extension is refused, whichever it is") {
  for (const char* crit : {"[\"b64\"]", "[]", "[\"exp\"]", "\"x\"", "null"})
    CHECK(parse_refusal(with_header(std::string(R"({"alg":"ES256","typ":"at+jwt","crit":)") + crit +
                                    "}")) == Reason::critical);
}

TEST_CASE("a JWS that names or brings its own key is refused") {
  for (const char* member :
       {R"("jku":"https://evil.example/k")", R"("x5u":"https://evil.example/c")", R"("x5c":["AA"])",
        R"("jwk":{"kty":"EC"})"})
    CHECK(parse_refusal(with_header(std::string(R"({"alg":"ES256","typ":"at+jwt",)") + member +
                                    "}")) == Reason::foreign_key);
}

TEST_CASE("a JWS made for another use is refused") {
  for (const char* typ : {R"("typ":"JWT")", R"("typ":"dpop+jwt")", R"("typ":"badged-vouch+jwt")",
                          R"("typ":"AT+JWT")", R"("typ":["at+jwt"])", R"("x":1)"})
    CHECK(parse_refusal(with_header(std::string(R"({"alg":"ES256",)") + typ + "}")) ==
          Reason::type);
  CHECK(UnverifiedJws::parse(with_header(R"({"alg":"ES256","typ":"application/at+jwt"})"),
                             kAccessTokenUse));
}

TEST_CASE("a JWS that is not three canonical parts is refused") {
  const std::string good = with_header(R"({"alg":"ES256","typ":"at+jwt"})");
  REQUIRE(UnverifiedJws::parse(good, kAccessTokenUse));
  for (const auto& bad : {std::string(), std::string("."), std::string(".."), std::string("a.b"),
                          "." + good, good + ".", good + "A", good.substr(0, good.size() - 1),
                          good + "=", " " + good, good + "\n", std::string(100, '.')})
    CHECK(parse_refusal(bad) == Reason::malformed);
  std::string stray = good;
  stray.back() = 'B';  // the same 64 bytes with a stray bit
  CHECK(parse_refusal(stray) == Reason::malformed);
  CHECK(parse_refusal(good + std::string(kJwsBytes, 'A')) == Reason::too_large);
  CHECK(parse_refusal(with_header(R"({"alg":"ES256","alg":"ES256","typ":"at+jwt"})")) ==
        Reason::malformed);
  CHECK(parse_refusal(with_header(R"({"alg":"none","alg":"ES256","typ":"at+jwt"})")) ==
        Reason::malformed);
}

TEST_CASE("a signature in DER, or of another size, is refused") {
  const std::string head = base64url(as_bytes(R"({"alg":"ES256","typ":"at+jwt"})")) + ".e30.";
  for (std::size_t size : {0u, 1u, 63u, 65u, 70u, 72u, 96u})
    CHECK(parse_refusal(head + base64url(Bytes(size, 0x30))) == Reason::malformed);
}

TEST_CASE("the payload is not looked at before the signature holds") {
  const auto key = test::new_key(), other = test::new_key();
  const std::string compact =
      test::sign_jws(key, R"({"alg":"ES256","typ":"at+jwt"})", std::string(3000, '['));
  auto first = UnverifiedJws::parse(compact, kAccessTokenUse);
  REQUIRE(first);
  CHECK(
      std::move(*first).verify(Es256Verifier::create(other.public_key()).value()).error().reason ==
      Reason::signature);
  auto second = UnverifiedJws::parse(compact, kAccessTokenUse);
  CHECK(std::move(*second).verify(Es256Verifier::create(key.public_key()).value()).error().reason ==
        Reason::malformed);
}

TEST_CASE("a vouch names one key until it expires") {
  const auto issuer = test::new_key(), other = test::new_key();
  const auto verifier = Es256Verifier::create(issuer.public_key()).value();
  const std::string named = thumbprint(other.public_key());
  const std::string payload = vouch_payload({named, "locked-memory", test::kNow, test::kNow + 60});
  const std::string vouch =
      test::sign_jws(issuer, vouch_header(thumbprint(issuer.public_key())), payload);
  const auto good = verify_vouch(vouch, verifier, named, test::kNow);
  REQUIRE(good);
  CHECK(good->custody == "locked-memory");
  CHECK(good->expires_at == test::kNow + 60);
  CHECK(verify_vouch(vouch, verifier, named, test::kNow + 60).error().reason == Reason::expired);
  CHECK(verify_vouch(vouch, verifier, named, test::kNow - 60).error().reason ==
        Reason::not_yet_valid);
  CHECK(verify_vouch(vouch, verifier, "another", test::kNow).error().reason == Reason::binding);
  const auto stranger = Es256Verifier::create(other.public_key()).value();
  CHECK(verify_vouch(vouch, stranger, named, test::kNow).error().reason == Reason::unknown_key);
  const std::string forged =
      test::sign_jws(other, vouch_header(thumbprint(issuer.public_key())), payload);
  CHECK(verify_vouch(forged, verifier, named, test::kNow).error().reason == Reason::signature);
}
