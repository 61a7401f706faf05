// TPM structures to bytes and back, and what can be read off a public area.
#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <optional>
#include <string_view>

#include "keystore/key.h"
#include "keystore/owned.h"
#include "keystore/tpm/fault.h"

namespace badged::keystore::tpm {

// RAII over what ESAPI allocates.
void esys_free(void* p);
template <class T>
using Owned = badged::Owned<T, esys_free>;

Bytes marshal(const TPM2B_PUBLIC& value);
Bytes marshal(const TPM2B_PRIVATE& value);
Bytes marshal(const TPMT_PUBLIC& value);
Bytes marshal(const TPMT_SIGNATURE& value);
Bytes marshal(const TPML_PCR_SELECTION& value);

// The whole of `bytes` must be the structure.
Outcome<TPM2B_PUBLIC> unmarshal_public(ByteView bytes);
Outcome<TPM2B_PRIVATE> unmarshal_private(ByteView bytes);
Outcome<TPMT_PUBLIC> unmarshal_public_area(ByteView bytes);

// Part 1, 16: nameAlg || H(public area). Computed here, never taken from an answer.
Outcome<Bytes> name_of(const TPMT_PUBLIC& area);

// Refuses anything but a point on P-256. TPMs drop leading zeros: coordinates are padded here.
Outcome<PublicKey> public_key_of(const TPMT_PUBLIC& area);
// r and s padded to 32 bytes each (H15).
Outcome<Signature> signature_of(const TPMT_SIGNATURE& signature);

std::string to_hex(ByteView bytes);
std::optional<Bytes> from_hex(std::string_view text);

}  // namespace badged::keystore::tpm
