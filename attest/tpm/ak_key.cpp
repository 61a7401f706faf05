#include "attest/tpm/ak_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>

#include "attest/tpm/digest.h"

namespace badged::attest::tpm {

namespace {

// ECDSA uses the leftmost bits of a digest that is longer than the order (FIPS 186-5, 6.4.2).
bool verify_ecdsa(const Es256Verifier& key, ByteView message, const EcdsaSignature& signature,
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

bool verify_rsa(EVP_PKEY* key, ByteView message, const Bytes& signature,
                const SigningScheme& scheme, const EVP_MD* hash) {
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by the context
  if (!context || EVP_DigestVerifyInit(context.get(), &parameters, hash, nullptr, key) != 1)
    return false;
  const bool pss = scheme.scheme == Alg::rsapss;
  // A TPM salts with as much as fits, or with the digest's size where FIPS is asked for.
  if (pss && (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) != 1 ||
              EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_AUTO) != 1))
    return false;
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

Error unfit(std::string_view why) {
  return fail(Errc::refused, std::string("prepare an attestation key: ").append(why));
}

}  // namespace

Result<AkKey> AkKey::from_point(const keystore::PublicKey& point) {
  auto ready = Es256Verifier::create(point);
  if (!ready) return ready.error();
  return AkKey(std::move(*ready));
}

Result<AkKey> AkKey::from_area(const PublicArea& area) {
  if (const auto* rsa = std::get_if<RsaPublic>(&area.key)) return from_rsa(*rsa);
  auto point = p256_key(area);
  if (!point) return point.error();
  return from_point(*point);
}

// 65537 only: a huge exponent makes one verification cost thousands (H25).
Result<AkKey> AkKey::from_rsa(const RsaPublic& rsa) {
  if (rsa.bits < 2048 || rsa.bits > 4096 || rsa.exponent != 65537)
    return unfit("RSA must have 2048 to 4096 bits and the exponent 65537");
  const Owned<BIGNUM, BN_free> n(
      BN_bin2bn(rsa.modulus.data(), static_cast<int>(rsa.modulus.size()), nullptr));
  const Owned<BIGNUM, BN_free> e(BN_new());
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> build(OSSL_PARAM_BLD_new());
  if (!n || !e || !build || BN_set_word(e.get(), rsa.exponent) != 1 ||
      BN_num_bits(n.get()) != rsa.bits || BN_is_odd(n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return unfit("the RSA modulus is none");
  const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(build.get()));
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* made = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return unfit("OpenSSL refuses the RSA key");
  return AkKey(Rsa(made));
}

bool AkKey::verify(ByteView message, const TpmSignature& signature) const {
  const EVP_MD* hash = accepted_digest(signature.scheme.hash);
  if (hash == nullptr) return false;
  if (const auto* ecc = std::get_if<Es256Verifier>(&key_)) {
    const auto* ecdsa = std::get_if<EcdsaSignature>(&signature.value);
    return ecdsa != nullptr && verify_ecdsa(*ecc, message, *ecdsa, hash);
  }
  const auto* bytes = std::get_if<Bytes>(&signature.value);
  return bytes != nullptr &&
         verify_rsa(std::get<Rsa>(key_).get(), message, *bytes, signature.scheme, hash);
}

}  // namespace badged::attest::tpm
