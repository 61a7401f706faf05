// Makes tokens and proofs for tests: good ones, and any single thing wrong with them.
#pragma once

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "attest/jose/access_token.h"
#include "attest/jose/base64url.h"
#include "attest/jose/dpop.h"
#include "keystore/memory_key.h"
#include "keystore/sha256.h"

namespace badged::test {

constexpr std::int64_t kNow = 1'800'000'000;
constexpr const char* kIssuer = "https://badged.example.org";
constexpr const char* kAudience = "https://ledger.example.org/";
constexpr const char* kUrl = "https://ledger.example.org/api/invoices";

inline keystore::MemoryKey new_key() {
  static const bool reserved = (keystore::reserve_locked_memory(1 << 18), true);
  (void)reserved;
  return keystore::MemoryKey::generate().value();
}

inline std::string sign_jws(const keystore::MemoryKey& key, std::string_view header,
                            std::string_view payload) {
  std::string out;
  attest::append_signing_input(out, header, payload);
  attest::append_signature(out, key.sign(keystore::sha256(as_bytes(out))).value());
  return out;
}

// The claims and header of a good token; change what you like, then make().
struct TokenMaker {
  keystore::MemoryKey issuer = new_key();
  keystore::MemoryKey session = new_key();
  std::string kid = attest::thumbprint(issuer.public_key());
  std::string jkt = attest::thumbprint(session.public_key());
  boost::json::object header{{"alg", "ES256"}, {"typ", "at+jwt"}, {"kid", kid}};
  boost::json::object claims{{"iss", kIssuer},
                             {"sub", "spiffe://example.org/host/h/agent/invoice-bot"},
                             {"aud", kAudience},
                             {"client_id", "invoice-bot"},
                             {"iat", kNow},
                             {"exp", kNow + 600},
                             {"jti", "token-1"},
                             {"txn", "txn-1"},
                             {"scope", "invoices.read"},
                             {"cnf", {{"jkt", jkt}}},
                             {"badged",
                              {{"tier", "elevated"},
                               {"binding", "process"},
                               {"session", "s1"},
                               {"epoch", 0},
                               {"host", {{"attestation", "none"}, {"custody", "locked-memory"}}}}}};

  attest::Jwks jwks() const {
    return attest::Jwks({{kid, issuer.public_key(), "locked-memory", {}}});
  }
  std::string make() const {
    return sign_jws(issuer, boost::json::serialize(header), boost::json::serialize(claims));
  }
  // The claims as text: for what no JSON library writes (duplicates, 1e308).
  std::string make_from(std::string_view payload) const {
    return sign_jws(issuer, boost::json::serialize(header), payload);
  }
};

inline attest::Checked<attest::VerifiedToken> verify_token(const TokenMaker& maker,
                                                           std::string_view token,
                                                           std::int64_t now = kNow) {
  const auto verifier = attest::TokenVerifier::create(maker.jwks()).value();
  return verifier.verify(token, {kIssuer, kAudience, now});
}

// Why a token was refused; fails the test when it was not.
inline attest::Reason refusal_of(const TokenMaker& maker, std::string_view token,
                                 std::int64_t now = kNow) {
  const auto verified = verify_token(maker, token, now);
  if (verified) throw std::logic_error("the token was accepted");
  return verified.error().reason;
}

inline std::string hash_of(std::string_view token) {
  return attest::base64url(keystore::sha256(as_bytes(token)));
}

struct ProofMaker {
  keystore::MemoryKey key = new_key();
  std::string jkt = attest::thumbprint(key.public_key());
  std::string token = "some.access.token";
  boost::json::object header =
      boost::json::parse(attest::proof_header(key.public_key())).as_object();
  boost::json::object claims{
      {"jti", "proof-0001"}, {"htm", "GET"}, {"htu", kUrl}, {"iat", kNow}, {"ath", hash_of(token)}};

  std::string make() const {
    return sign_jws(key, boost::json::serialize(header), boost::json::serialize(claims));
  }
  attest::ProofExpectation expectation() const {
    return {
        .method = "GET", .url = kUrl, .access_token = token, .jkt = jkt, .nonce = {}, .now = kNow};
  }
  attest::Checked<attest::VerifiedProof> verify() const {
    return attest::verify_proof(make(), expectation(), nullptr);
  }
  attest::Reason refusal() const {
    const auto proof = verify();
    if (proof) throw std::logic_error("the proof was accepted");
    return proof.error().reason;
  }
};

}  // namespace badged::test

namespace badged::attest {
// Catch prints a reason by its name.
inline std::ostream& operator<<(std::ostream& out, Reason reason) {
  return out << to_string(reason);
}
}  // namespace badged::attest
