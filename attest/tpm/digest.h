// The digests that TPM statements may rely on.
#pragma once

#include <openssl/evp.h>

#include "attest/tpm/structures.h"

namespace badged::attest::tpm {

// nullptr for SHA-1 and everything else but SHA-256, SHA-384 and SHA-512. Valid until the process
// exits: each is looked up once, and kept. From any thread.
const EVP_MD* accepted_digest(Alg alg);

}  // namespace badged::attest::tpm
