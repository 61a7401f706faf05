// Public templates of every object we make (TCG EK Credential Profile 2.5, annex B; TCG
// Provisioning Guidance 7.5).
#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <array>

namespace badged::keystore::tpm {

constexpr TPM2_HANDLE kSrkHandle = 0x81000001;

// Storage root: ECC P-256, AES-128-CFB, noDA.
TPM2B_PUBLIC srk_template();
// Restricted ECDSA P-256: signs only what the TPM itself made.
TPM2B_PUBLIC attestation_template();
// Unrestricted ECDSA P-256: issuer and session keys.
TPM2B_PUBLIC signing_template();
// A sealed secret.
TPM2B_PUBLIC sealed_template();

// An endorsement key's template and the NV indices and handle that go with it.
struct EndorsementTemplate {
  const char* id;  // as recorded: "rsa-2048", "p256", "rsa-2048-high", ...
  TPM2B_PUBLIC area;
  TPM2_HANDLE certificate;   // NV index of its certificate
  TPM2_HANDLE nonce;         // NV index that fills `unique`, 0 in the high range
  TPM2_HANDLE own_template;  // NV index with another TPMT_PUBLIC to use instead
  TPM2_HANDLE persistent;    // where the key is kept
  bool by_policy;            // use needs PolicySecret(endorsement): userWithAuth is clear
};

// In the order they are tried: RSA-2048 and P-256 of the low range, then the high range.
std::array<EndorsementTemplate, 5> endorsement_templates();
// Which of them is made where the TPM has no EK certificate at all: quick on every chip.
constexpr const char* kPlainEndorsement = "p256";

}  // namespace badged::keystore::tpm
