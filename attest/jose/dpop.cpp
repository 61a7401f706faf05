#include "attest/jose/dpop.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "attest/jose/base64url.h"
#include "attest/jose/url.h"
#include "keystore/sha256.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

constexpr std::string_view kWhere = "the proof's claims";

std::string about(std::string_view why) {
  return std::string("check the proof: ").append(why);
}

std::string hash_of(std::string_view access_token) {
  return base64url(keystore::sha256(as_bytes(access_token)));
}

Checked<std::string_view> required(const json::object& claims, std::string_view name,
                                   std::size_t max_bytes) {
  auto value = string_member(claims, name, kWhere);
  if (!value) {
    const Reason reason = claims.contains(name) ? Reason::bad_claim : Reason::missing_claim;
    return reject(reason, about(value.error().what));
  }
  if (value->empty() || value->size() > max_bytes)
    return reject(Reason::bad_claim, about("`").append(name).append("` is empty or too long"));
  return *value;
}

// 4.3, checks 8 and 9.
Checked<void> check_request(const json::object& claims, const ProofExpectation& expect) {
  auto htm = required(claims, "htm", kMethodBytes);
  if (!htm) return htm.error();
  if (*htm != expect.method)
    return reject(Reason::method, about("htm is not the method of the request"));
  auto htu = required(claims, "htu", kUrlBytes);
  if (!htu) return htu.error();
  auto proven = normalise_htu(*htu);
  if (!proven) return reject(Reason::url, about("htu: ").append(proven.error().what));
  auto requested = normalise_htu(expect.url);
  if (!requested)
    return reject(Reason::url, about("the request's URL: ").append(requested.error().what),
                  requested.error().hint);
  if (*proven != *requested)
    return reject(Reason::url, about("htu is not the URL of the request"),
                  "behind a proxy, compare with the URL that the client sees");
  return {};
}

// Times that RFC 9449 does not ask for, but RFC 7519 4.1.4 and 4.1.5 give meaning wherever they
// stand.
Checked<void> check_own_times(const json::object& claims, std::int64_t now) {
  const auto expires = optional_time(claims, "exp", kWhere);
  if (!expires) return reject(Reason::bad_claim, about(expires.error().what));
  if (*expires && **expires <= now)
    return reject(Reason::expired, about("its exp has passed"), "make a new proof");
  const auto not_before = optional_time(claims, "nbf", kWhere);
  if (!not_before) return reject(Reason::bad_claim, about(not_before.error().what));
  if (*not_before && **not_before > now + kFutureLeeway)
    return reject(Reason::not_yet_valid, about("its nbf lies in the future"), "compare the clocks");
  return {};
}

// 4.3, check 11.
Checked<std::int64_t> check_age(const json::object& claims, std::int64_t now) {
  auto issued = integer_member(claims, "iat", kWhere);
  if (!issued) {
    const Reason reason = claims.contains("iat") ? Reason::bad_claim : Reason::missing_claim;
    return reject(reason, about(issued.error().what));
  }
  if (*issued < 0 || *issued > kLatestTime)
    return reject(Reason::bad_claim, about("`iat` is no time of ours"));
  if (*issued > now + kFutureLeeway || *issued < now - kProofMaxAge)
    return reject(Reason::stale, about("it was not made just now"),
                  "make a new proof for each request; compare the clocks");
  return *issued;
}

// 4.3, check 10. In constant time: a nonce may be a secret of the server's until it is used.
Checked<std::optional<std::string>> check_nonce(const json::object& claims,
                                                std::optional<std::string_view> expected) {
  auto nonce = optional_string(claims, "nonce", kWhere);
  if (!nonce) return reject(Reason::bad_claim, about(nonce.error().what));
  if (*nonce && (*nonce)->size() > kNonceBytes)
    return reject(Reason::bad_claim, about("`nonce` is too long"));
  const bool equal = *nonce && expected && (*nonce)->size() == expected->size() &&
                     CRYPTO_memcmp((*nonce)->data(), expected->data(), expected->size()) == 0;
  if (expected && !equal)
    return reject(Reason::nonce, about("it does not carry the server's nonce"),
                  "repeat the request with the nonce of the DPoP-Nonce header field");
  if (!*nonce) return std::optional<std::string>{};
  return std::optional<std::string>(std::string(**nonce));
}

// 4.3, check 12.
Checked<void> check_binding(const json::object& claims, const std::string& jkt,
                            const ProofExpectation& expect) {
  if (expect.access_token) {
    auto ath = required(claims, "ath", 64);
    if (!ath) return ath.error();
    if (*ath != hash_of(*expect.access_token))
      return reject(Reason::token_hash, about("ath is the hash of another token"));
  }
  if (expect.jkt && *expect.jkt != jkt)
    return reject(Reason::binding, about("its key is not the one that the token is bound to"),
                  "only the session that the token was issued to can make its proofs");
  return {};
}

Checked<VerifiedJws> check_signature(std::string_view compact) {
  auto unverified = UnverifiedJws::parse(compact, kProofUse);
  if (!unverified) return unverified.error();
  const PublicKey key = *unverified->header().embedded;  // on the curve
  return std::move(*unverified).verify_once(key);
}

}  // namespace

Checked<std::string_view> single_proof(std::span<const std::string_view> header_fields) {
  if (header_fields.empty())
    return reject(Reason::no_proof, about("the request has no DPoP header field"));
  if (header_fields.size() > 1)
    return reject(Reason::several_proofs, about("the request has several DPoP header fields"));
  return header_fields.front();
}

Checked<VerifiedProof> verify_proof(std::string_view compact, const ProofExpectation& expect,
                                    ReplayGuard* replay) {
  auto jws = check_signature(compact);
  if (!jws) return jws.error();
  const auto& claims = jws->claims();
  auto jti = required(claims, "jti", kJtiMax);
  if (!jti) return jti.error();
  if (jti->size() < kJtiMin)
    return reject(Reason::bad_claim, about("`jti` is too short to be unique"));
  if (auto request = check_request(claims, expect); !request) return request.error();
  auto nonce = check_nonce(claims, expect.nonce);
  if (!nonce) return nonce.error();
  auto issued = check_age(claims, expect.now);
  if (!issued) return issued.error();
  if (auto times = check_own_times(claims, expect.now); !times) return times.error();
  const std::string jkt = thumbprint(*jws->header().embedded);
  if (auto binding = check_binding(claims, jkt, expect); !binding) return binding.error();
  if (replay != nullptr) {
    const SeenProof seen{jkt, *jti, *issued, *issued + kProofMaxAge + 1};
    if (auto fresh = replay->remember(seen, expect.now); !fresh) return fresh.error();
  }
  return VerifiedProof{jkt, std::string(*jti), *issued, std::move(*nonce)};
}

std::string proof_header(const PublicKey& key) {
  std::string out = R"({"typ":"dpop+jwt","alg":"ES256","jwk":)";
  append_jwk(out, key);
  return out += '}';
}

std::string proof_payload(const ProofClaims& claims) {
  std::string out = "{\"jti\":";
  append_json_string(out, claims.jti);
  out += ",\"htm\":";
  append_json_string(out, claims.method);
  out += ",\"htu\":";
  append_json_string(out, claims.url);
  out.append(",\"iat\":").append(std::to_string(claims.issued_at));
  out.append(",\"ath\":\"").append(hash_of(claims.access_token)).append("\"");
  if (claims.nonce) {
    out += ",\"nonce\":";
    append_json_string(out, *claims.nonce);
  }
  return out += '}';
}

}  // namespace badged::attest
