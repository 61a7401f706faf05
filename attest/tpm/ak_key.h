// The public half of an attestation key in OpenSSL's hands: P-256 or RSA.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <variant>

#include "attest/jose/jws.h"
#include "attest/tpm/structures.h"

namespace badged::attest::tpm {

// nullptr for SHA-1 and everything else that a signature may not use.
const EVP_MD* digest_for_signing(Alg hash);

class AkKey {
 public:
  static Result<AkKey> from_area(const PublicArea& area);
  static Result<AkKey> from_point(const keystore::PublicKey& point);

  // The hash has passed digest_for_signing.
  bool verify(ByteView message, const TpmSignature& signature) const;

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  using Rsa = std::unique_ptr<EVP_PKEY, FreeKey>;

  explicit AkKey(Es256Verifier ecc) : key_(std::move(ecc)) {}
  explicit AkKey(Rsa rsa) : key_(std::move(rsa)) {}
  static Result<AkKey> from_rsa(const RsaPublic& rsa);

  std::variant<Es256Verifier, Rsa> key_;
};

}  // namespace badged::attest::tpm
