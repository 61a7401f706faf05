// The public half of an attestation key in OpenSSL's hands: P-256, P-384, or RSA of 2048 to 4096
// bits.
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
  // Of a SubjectPublicKeyInfo; nothing of `key` is kept but its numbers.
  static Result<AkKey> from_openssl(const EVP_PKEY& key);

  // The hash has passed accepted_digest.
  bool verify(ByteView message, const TpmSignature& signature) const;

  // SHA-256 over what makes the key this key: equal for two AkKeys exactly when they are the same.
  const Digest& fingerprint() const { return fingerprint_; }

 private:
  using Handle = Owned<EVP_PKEY, EVP_PKEY_free>;

  struct Rsa {
    Handle key;
  };
  struct P384 {
    Handle key;
  };
  using Key = std::variant<Es256Verifier, P384, Rsa>;

  AkKey(Key key, const Digest& fingerprint) : key_(std::move(key)), fingerprint_(fingerprint) {}
  static Result<AkKey> from_rsa(const RsaPublic& rsa);
  static Result<AkKey> from_p384(const Bytes& x, const Bytes& y);

  Key key_;
  Digest fingerprint_;
};

}  // namespace badged::attest::tpm
