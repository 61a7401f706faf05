#include "attest/jose/trusted_keys.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>

#include "attest/jose/base64url.h"
#include "attest/jose/jwk.h"
#include "attest/jose/jws.h"
#include "attest/json/strict.h"
#include "attest/limits.h"
#include "attest/openssl_errors.h"
#include "keystore/owned.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using KeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using Number = Owned<BIGNUM, BN_free>;
using Builder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Parameters = Owned<OSSL_PARAM, OSSL_PARAM_free>;

struct Name {
  SubjectAlgorithm algorithm;
  std::string_view name;
  std::string_view kty;
  std::string_view crv;  // empty: none
};
constexpr Name kNames[] = {
    {SubjectAlgorithm::es256, "ES256", "EC", "P-256"},
    {SubjectAlgorithm::rs256, "RS256", "RSA", ""},
    {SubjectAlgorithm::ps256, "PS256", "RSA", ""},
    {SubjectAlgorithm::eddsa, "EdDSA", "OKP", "Ed25519"},
};

Error bad_set(std::string_view why) {
  return fail(Errc::malformed, std::string("read the issuer's key set: ").append(why));
}

std::string_view text_of(const json::object& jwk, std::string_view name) {
  const auto* found = jwk.if_contains(name);
  if (found == nullptr || !found->is_string()) return {};
  return {found->get_string().data(), found->get_string().size()};
}

// The one algorithm of this key; nothing where it cannot be used here, or where two would do.
std::optional<SubjectAlgorithm> algorithm_of(const json::object& jwk,
                                             std::span<const SubjectAlgorithm> pinned) {
  if (!is_for_verifying(jwk)) return std::nullopt;
  std::optional<SubjectAlgorithm> only;
  for (const auto& [algorithm, name, kty, crv] : kNames) {
    if (std::find(pinned.begin(), pinned.end(), algorithm) == pinned.end()) continue;
    if (text_of(jwk, "kty") != kty || (!crv.empty() && text_of(jwk, "crv") != crv)) continue;
    if (jwk.contains("alg") && text_of(jwk, "alg") != name) continue;
    if (only) return std::nullopt;
    only = algorithm;
  }
  return only;
}

Result<Key> rsa_key(const json::object& jwk) {
  const ErrorsAsBefore errors;
  const auto n = decode_base64url(text_of(jwk, "n"), kRsaModulusMax);
  const auto e = decode_base64url(text_of(jwk, "e"), kRsaExponentMax);
  if (!n || !e || n->empty() || e->empty() || n->front() == 0 || e->front() == 0)
    return bad_set("an RSA key's n or e is no number of a size used here");
  if (n->size() < kRsaModulusMin) return bad_set("an RSA key has less than 2048 bits");
  const bool exponent_is_one = e->size() == 1 && e->front() == 1;
  if ((n->back() & 1) == 0 || (e->back() & 1) == 0 || exponent_is_one)
    return bad_set("an RSA key's n or e is even or 1");
  const Number modulus(BN_bin2bn(n->data(), static_cast<int>(n->size()), nullptr));
  const Number exponent(BN_bin2bn(e->data(), static_cast<int>(e->size()), nullptr));
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!modulus || !exponent || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return fail(Errc::internal, "prepare an RSA key: OpenSSL refuses it");
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* made = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return bad_set("OpenSSL takes an RSA key for none");
  return Key(made);
}

Result<Key> ed25519_key(const json::object& jwk) {
  const ErrorsAsBefore errors;
  std::array<std::uint8_t, 32> x{};
  if (!decode_base64url(text_of(jwk, "x"), x))
    return bad_set("an Ed25519 key's x is not base64url of 32 bytes");
  Key key(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, x.data(), x.size()));
  if (!key) return bad_set("OpenSSL takes an Ed25519 key for none");
  return key;
}

}  // namespace

// One of the two: ES256 has a verifier of its own.
struct TrustedKey::Handle {
  std::optional<Es256Verifier> es256;
  Key other;
};

TrustedKey::TrustedKey(std::string kid, SubjectAlgorithm algorithm, std::unique_ptr<Handle> handle)
    : kid_(std::move(kid)), algorithm_(algorithm), handle_(std::move(handle)) {}
TrustedKey::TrustedKey(TrustedKey&&) noexcept = default;
TrustedKey& TrustedKey::operator=(TrustedKey&&) noexcept = default;
TrustedKey::~TrustedKey() = default;

bool TrustedKey::verify(ByteView message, ByteView signature) const {
  if (handle_->es256) {
    Signature fixed;
    if (signature.size() != fixed.size()) return false;
    std::copy(signature.begin(), signature.end(), fixed.begin());
    return handle_->es256->verify(message, fixed);
  }
  const ErrorsAsBefore errors;
  const bool rsa = algorithm_ != SubjectAlgorithm::eddsa;
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* settings = nullptr;  // owned by `context`
  if (!context || EVP_DigestVerifyInit_ex(context.get(), &settings, rsa ? "SHA256" : nullptr,
                                          nullptr, nullptr, handle_->other.get(), nullptr) != 1)
    return false;
  // RFC 7518 3.5: MGF1 with SHA-256 and a salt as long as the hash, no other.
  if (algorithm_ == SubjectAlgorithm::ps256 &&
      (EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) != 1 ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST) != 1))
    return false;
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

Result<TrustedKeys> TrustedKeys::parse(std::string_view jwks,
                                       std::span<const SubjectAlgorithm> pinned) {
  const auto document = parse_strict_object(jwks, {.bytes = kJwksBytes});
  if (!document) return document.error();
  const auto* found = document->if_contains("keys");
  const auto* list = found == nullptr ? nullptr : found->if_array();
  if (list == nullptr) return bad_set("a key set has an array `keys`");
  if (list->size() > kJwksKeys) return bad_set("the set holds too many keys");
  TrustedKeys set;
  for (const auto& value : *list) {
    const auto* jwk = value.if_object();
    if (jwk == nullptr) return bad_set("a key of the set is not an object");
    if (has_private_member(*jwk)) return bad_set("it holds a private or secret key");
    const auto algorithm = algorithm_of(*jwk, pinned);
    if (!algorithm) continue;
    const std::string kid(text_of(*jwk, "kid"));
    if (kid.empty() || kid.size() > kKidBytes) return bad_set("a key has no kid, or a long one");
    if (set.find(kid) != nullptr) return bad_set("two keys have the same kid");
    auto handle = std::make_unique<TrustedKey::Handle>();
    if (*algorithm == SubjectAlgorithm::es256) {
      auto point = public_key_from_jwk(*jwk);
      if (!point) return bad_set(point.error().what);
      auto verifier = Es256Verifier::create(*point);
      if (!verifier) return verifier.error();
      handle->es256 = std::move(*verifier);
    } else {
      auto key = *algorithm == SubjectAlgorithm::eddsa ? ed25519_key(*jwk) : rsa_key(*jwk);
      if (!key) return key.error();
      handle->other = std::move(*key);
    }
    set.keys_.push_back(TrustedKey(kid, *algorithm, std::move(handle)));
  }
  if (set.keys_.empty()) return bad_set("no key in it can be used with the pinned algorithms");
  return set;
}

const TrustedKey* TrustedKeys::find(std::string_view kid) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(),
                                  [&](const TrustedKey& key) { return key.kid() == kid; });
  return found == keys_.end() ? nullptr : &*found;
}

std::string_view to_string(SubjectAlgorithm algorithm) {
  for (const auto& name : kNames)
    if (name.algorithm == algorithm) return name.name;
  return "unknown";
}

std::optional<SubjectAlgorithm> subject_algorithm_from(std::string_view text) {
  for (const auto& name : kNames)
    if (name.name == text) return name.algorithm;
  return std::nullopt;
}

}  // namespace badged::attest
