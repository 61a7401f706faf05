// A public key in a file, as OpenSSL and tpm2-tools write it.
#pragma once

#include <openssl/evp.h>

#include "keystore/bytes.h"
#include "keystore/owned.h"
#include "keystore/result.h"

namespace badged::attest::tpm {

// One SubjectPublicKeyInfo (RFC 5280 4.1): PEM (RFC 7468 13) or DER. Refused: a private key, a
// certificate, several blocks, bytes after the structure, more than kAkFileBytes. Text before the
// block is skipped, as PEM allows.
Result<Owned<EVP_PKEY, EVP_PKEY_free>> read_public_key(ByteView content);

}  // namespace badged::attest::tpm
