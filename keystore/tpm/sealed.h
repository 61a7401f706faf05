// The opaque blob of a sealed secret: "BSL", version 1, then TPM2B_PUBLIC and TPM2B_PRIVATE, each
// with its length in two bytes, big endian.
#pragma once

#include "keystore/tpm/objects.h"
#include "keystore/tpm/templates.h"

namespace badged::keystore::tpm {

Bytes to_blob(const Wrapped& sealed);
// The blob may come from an edited file: Errc::malformed, and a newer version says so.
Outcome<Wrapped> from_blob(ByteView blob);

}  // namespace badged::keystore::tpm
