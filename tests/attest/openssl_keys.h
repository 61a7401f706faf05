// Public keys of OpenSSL's making, for tests that give them as PEM.
#pragma once

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "keystore/bytes.h"
#include "keystore/owned.h"

namespace badged::test {

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;

inline Key rsa_key(unsigned bits) {
  return Key(EVP_RSA_gen(bits));
}

// The key's modulus with an exponent of the test's choice.
inline Key rsa_public(const EVP_PKEY& key, std::uint64_t exponent) {
  BIGNUM* modulus = nullptr;
  EVP_PKEY_get_bn_param(&key, OSSL_PKEY_PARAM_RSA_N, &modulus);
  const Owned<BIGNUM, BN_free> n(modulus), e(BN_new());
  BN_set_word(e.get(), exponent);
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> build(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(build.get()));
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* made = nullptr;
  EVP_PKEY_fromdata_init(context.get());
  EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get());
  return Key(made);
}

inline Bytes to_pem(EVP_PKEY* key) {
  const Owned<BIO, BIO_free> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PUBKEY(out.get(), key);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return Bytes(data, data + size);
}

}  // namespace badged::test
