// The public half of an attestation key in OpenSSL's hands: P-256 or RSA.
#pragma once

#include <openssl/evp.h>

#include <variant>

#include "attest/jose/jws.h"
#include "attest/tpm/structures.h"
#include "keystore/owned.h"

namespace badged::attest::tpm {

class AkKey {
 public:
  static Result<AkKey> from_area(const PublicArea& area);
  static Result<AkKey> from_point(const keystore::PublicKey& point);

  // The hash has passed accepted_digest.
  bool verify(ByteView message, const TpmSignature& signature) const;

 private:
  using Rsa = Owned<EVP_PKEY, EVP_PKEY_free>;

  explicit AkKey(Es256Verifier ecc) : key_(std::move(ecc)) {}
  explicit AkKey(Rsa rsa) : key_(std::move(rsa)) {}
  static Result<AkKey> from_rsa(const RsaPublic& rsa);

  std::variant<Es256Verifier, Rsa> key_;
};

}  // namespace badged::attest::tpm
