// "TSS2 PRIVATE KEY" files: how a wrapped TPM key is written so that other programs load it.
// https://www.hansenpartnership.com/draft-bottomley-tpm2-keys.html, 3.1 (TPMKey)
#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <string>

#include "keystore/tpm/objects.h"

namespace badged::keystore::tpm {

// `parent`: a persistent handle, or TPM2_RH_ENDORSEMENT / TPM2_RH_OWNER for a standard primary. The
// file says that the key has an auth value; the value is not in it.
std::string to_pem(const Wrapped& key, TPM2_HANDLE parent);

// Errc::malformed for anything that to_pem() does not write.
Outcome<Wrapped> from_pem(ByteView text);

}  // namespace badged::keystore::tpm
