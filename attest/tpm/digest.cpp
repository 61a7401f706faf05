#include "attest/tpm/digest.h"

#include "keystore/owned.h"

namespace badged::attest::tpm {

namespace {

using Hash = Owned<EVP_MD, EVP_MD_free>;

// EVP_sha256() and its like are looked up among the providers at each use, which costs as much as
// hashing a structure of a TPM. Null only where there is no memory: then the digest is refused.
Hash fetch(const char* name) {
  return Hash(EVP_MD_fetch(nullptr, name, nullptr));
}

}  // namespace

const EVP_MD* accepted_digest(Alg alg) {
  switch (alg) {
    case Alg::sha256: {
      static const Hash sha256 = fetch("SHA2-256");
      return sha256.get();
    }
    case Alg::sha384: {
      static const Hash sha384 = fetch("SHA2-384");
      return sha384.get();
    }
    case Alg::sha512: {
      static const Hash sha512 = fetch("SHA2-512");
      return sha512.get();
    }
    default:
      return nullptr;
  }
}

}  // namespace badged::attest::tpm
