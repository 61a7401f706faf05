#include "attest/tpm/ak_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>

#include "attest/openssl_errors.h"
#include "attest/tpm/digest.h"
#include "keystore/sha256.h"

namespace badged::attest::tpm {

namespace {

constexpr std::size_t kP384Bytes = 48;

// ECDSA uses the leftmost bits of a digest that is longer than the order (FIPS 186-5, 6.4.2).
bool verify_p256(const Es256Verifier& key, ByteView message, const EcdsaSignature& signature,
                 const EVP_MD* hash) {
  auto fixed = fixed_signature(signature);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  if (!fixed ||
      EVP_Digest(message.data(), message.size(), digest.data(), nullptr, hash, nullptr) != 1)
    return false;
  Digest leftmost;
  std::copy_n(digest.begin(), leftmost.size(), leftmost.begin());
  return key.verify_digest(leftmost, *fixed);
}

Owned<BIGNUM, BN_free> number(const Bytes& bytes) {
  return Owned<BIGNUM, BN_free>(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
}

bool verify_digest_of(EVP_PKEY* key, ByteView message, ByteView signature, const EVP_MD* hash,
                      bool pss) {
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by the context
  if (!context || EVP_DigestVerifyInit(context.get(), &parameters, hash, nullptr, key) != 1)
    return false;
  // A TPM salts with as much as fits, or with the digest's size where FIPS is asked for.
  if (pss && (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) != 1 ||
              EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_AUTO) != 1))
    return false;
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

bool verify_p384(EVP_PKEY* key, ByteView message, const EcdsaSignature& signature,
                 const EVP_MD* hash) {
  auto r = number(signature.r), s = number(signature.s);
  const Owned<ECDSA_SIG, ECDSA_SIG_free> both(ECDSA_SIG_new());
  if (!r || !s || !both || ECDSA_SIG_set0(both.get(), r.get(), s.get()) != 1) return false;
  r.release();  // both has them now
  s.release();
  std::array<std::uint8_t, 2 * (kTpmEccBytes + 4) + 4> der{};
  const int size = i2d_ECDSA_SIG(both.get(), nullptr);
  if (size <= 0 || static_cast<std::size_t>(size) > der.size()) return false;
  std::uint8_t* out = der.data();
  i2d_ECDSA_SIG(both.get(), &out);
  return verify_digest_of(key, message, ByteView(der).first(static_cast<std::size_t>(size)), hash,
                          false);
}

Error unfit(std::string_view why) {
  return fail(Errc::refused, std::string("prepare an attestation key: ").append(why),
              "P-256, P-384, or RSA of 2048 to 4096 bits with the exponent 65537");
}

Digest fingerprint_of(std::string_view type, std::initializer_list<ByteView> numbers) {
  Bytes all(type.begin(), type.end());
  for (const ByteView part : numbers) all.insert(all.end(), part.begin(), part.end());
  return keystore::sha256(all);
}

using Parameters = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;

EVP_PKEY* key_from(const char* type, OSSL_PARAM_BLD* build) {
  const ErrorsAsBefore errors;
  const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(build));
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
      EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  return made;
}

// The number `name` of a key, without leading zeros; empty where it has none.
Bytes number_of(const EVP_PKEY& key, const char* name) {
  BIGNUM* read = nullptr;
  if (EVP_PKEY_get_bn_param(&key, name, &read) != 1) return {};
  const Owned<BIGNUM, BN_free> owned(read);
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(read)));
  BN_bn2bin(read, bytes.data());
  return bytes;
}

}  // namespace

Result<AkKey> AkKey::from_point(const keystore::PublicKey& point) {
  auto ready = Es256Verifier::create(point);
  if (!ready) return ready.error();
  return AkKey(Key(std::move(*ready)), fingerprint_of("P-256", {point.x, point.y}));
}

Result<AkKey> AkKey::from_area(const PublicArea& area) {
  if (const auto* rsa = std::get_if<RsaPublic>(&area.key)) return from_rsa(*rsa);
  const auto& ecc = std::get<EccPublic>(area.key);
  if (ecc.curve == Curve::p384) return from_p384(ecc.x, ecc.y);
  auto point = p256_key(area);
  if (!point) return point.error();
  return from_point(*point);
}

Result<AkKey> AkKey::from_openssl(const EVP_PKEY& key) {
  const ErrorsAsBefore errors;
  if (EVP_PKEY_is_a(&key, "RSA") == 1) {
    RsaPublic rsa{static_cast<std::uint16_t>(EVP_PKEY_get_bits(&key)), 0,
                  number_of(key, OSSL_PKEY_PARAM_RSA_N)};
    const Bytes exponent = number_of(key, OSSL_PKEY_PARAM_RSA_E);
    if (exponent.size() <= 4)
      for (const std::uint8_t byte : exponent) rsa.exponent = rsa.exponent << 8 | byte;
    return from_rsa(rsa);
  }
  char group[32] = {};
  if (EVP_PKEY_is_a(&key, "EC") != 1 ||
      EVP_PKEY_get_group_name(&key, group, sizeof group, nullptr) != 1)
    return unfit("it is neither RSA nor on a named curve");
  const Bytes x = number_of(key, OSSL_PKEY_PARAM_EC_PUB_X);
  const Bytes y = number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y);
  const std::string_view name(group);
  if (name == "secp384r1") return from_p384(x, y);
  if (name != "prime256v1" || x.size() > 32 || y.size() > 32)
    return unfit("its curve is neither P-256 nor P-384");
  keystore::PublicKey point;
  std::copy(x.begin(), x.end(), point.x.end() - static_cast<std::ptrdiff_t>(x.size()));
  std::copy(y.begin(), y.end(), point.y.end() - static_cast<std::ptrdiff_t>(y.size()));
  return from_point(point);
}

Result<AkKey> AkKey::from_p384(const Bytes& x, const Bytes& y) {
  std::array<std::uint8_t, 1 + 2 * kP384Bytes> octets{4};  // uncompressed
  const auto place = [&](const Bytes& from, std::size_t end) {
    if (from.empty() || from.size() > kP384Bytes) return false;
    std::copy(from.begin(), from.end(),
              octets.begin() + static_cast<std::ptrdiff_t>(end - from.size()));
    return true;
  };
  if (!place(x, 1 + kP384Bytes) || !place(y, octets.size()))
    return unfit("the point is not on P-384");
  const Parameters build(OSSL_PARAM_BLD_new());
  if (!build ||
      OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-384", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, octets.data(),
                                       octets.size()) != 1)
    return fail(Errc::internal, "prepare an attestation key: OpenSSL fails");
  Handle key(key_from("EC", build.get()));  // refuses a point off the curve
  if (!key) return unfit("the point is not on P-384");
  return AkKey(Key(P384{std::move(key)}), fingerprint_of("P-384", {ByteView(octets)}));
}

// 65537 only: a huge exponent makes one verification cost thousands (H25).
Result<AkKey> AkKey::from_rsa(const RsaPublic& rsa) {
  if (rsa.bits < 2048 || rsa.bits > 4096 || rsa.exponent != 65537)
    return unfit("RSA must have 2048 to 4096 bits and the exponent 65537");
  const auto n = number(rsa.modulus);
  const Owned<BIGNUM, BN_free> e(BN_new());
  const Parameters build(OSSL_PARAM_BLD_new());
  if (!n || !e || !build || BN_set_word(e.get(), rsa.exponent) != 1 ||
      BN_num_bits(n.get()) != rsa.bits || BN_is_odd(n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return unfit("the RSA modulus is none");
  Handle key(key_from("RSA", build.get()));
  if (!key) return unfit("OpenSSL refuses the RSA key");
  return AkKey(Key(Rsa{std::move(key)}), fingerprint_of("RSA", {ByteView(rsa.modulus)}));
}

bool AkKey::verify(ByteView message, const TpmSignature& signature) const {
  const ErrorsAsBefore errors;
  const EVP_MD* hash = accepted_digest(signature.scheme.hash);
  if (hash == nullptr) return false;
  if (const auto* rsa = std::get_if<Rsa>(&key_)) {
    const auto* bytes = std::get_if<Bytes>(&signature.value);
    return bytes != nullptr && verify_digest_of(rsa->key.get(), message, *bytes, hash,
                                                signature.scheme.scheme == Alg::rsapss);
  }
  const auto* ecdsa = std::get_if<EcdsaSignature>(&signature.value);
  if (ecdsa == nullptr) return false;
  if (const auto* p256 = std::get_if<Es256Verifier>(&key_))
    return verify_p256(*p256, message, *ecdsa, hash);
  return verify_p384(std::get<P384>(key_).key.get(), message, *ecdsa, hash);
}

}  // namespace badged::attest::tpm
