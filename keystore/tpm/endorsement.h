// The endorsement key: found by its certificate, made from its template, kept at its handle.
// TCG EK Credential Profile 2.5, 2.2.1 (NV indices), annex B (templates).
#pragma once

#include <string>

#include "keystore/tpm/objects.h"
#include "keystore/tpm/templates.h"

namespace badged::keystore::tpm {

struct EndorsementKey {
  std::string id;  // of the template
  Parent parent;
  TPM2B_PUBLIC area{};
  Bytes name;
  Bytes certificate;       // DER without padding; empty where the TPM has none
  bool transient = false;  // flush it after use: its handle holds an object of somebody else
};

// At provisioning: the first template whose certificate the TPM holds and whose key the certificate
// names; a TPM without any gets a P-256 key and no certificate. A key already at the standard
// handle is used when it is the same, and left alone when it is not.
Outcome<EndorsementKey> choose_endorsement_key(Device& device);

// Later: the key of template `id`, wherever it is; made again where the handle is empty, which
// gives the same key on the same TPM. The caller compares the Name.
Outcome<EndorsementKey> open_endorsement_key(Device& device, const std::string& id);

// Certificates of the key's issuers, as the maker left them in NV (EK Credential Profile 2.5,
// 2.2.1.5.2: indices 0x01C00100 to 0x01C001FF, one or more DER certificates in each, which may go
// on in the next). What is no certificate ends the chain: nothing depends on it but convenience.
Outcome<std::vector<Bytes>> read_endorsement_chain(Device& device);

// A primary from a template, with empty auth, in `hierarchy`. Transient: flush it.
struct Primary {
  ESYS_TR handle = ESYS_TR_NONE;
  TPM2B_PUBLIC area{};
  Bytes name;
};
Outcome<Primary> create_primary(Device& device, ESYS_TR hierarchy, const TPM2B_PUBLIC& area);
// Copies a primary to a persistent handle that is free, and flushes the transient one.
Outcome<Device::Loaded> persist(Device& device, const Primary& primary, TPM2_HANDLE handle);

}  // namespace badged::keystore::tpm
