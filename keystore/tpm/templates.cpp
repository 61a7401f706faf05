#include "keystore/tpm/templates.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace badged::keystore::tpm {

namespace {

constexpr TPMA_OBJECT kOurs =
    TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA;
constexpr TPMA_OBJECT kEndorsement = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                     TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |
                                     TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;

// EK Credential Profile, B.3: PolicyA is PolicySecret(TPM_RH_ENDORSEMENT); B.6: PolicyB for the
// high range, by hash.
constexpr std::array<BYTE, 32> kPolicyA = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8, 0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5, 0xD7, 0x24,
    0xFD, 0x52, 0xD7, 0x6E, 0x06, 0x52, 0x0B, 0x64, 0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA};
constexpr std::array<BYTE, 32> kPolicyB256 = {
    0xCA, 0x3D, 0x0A, 0x99, 0xA2, 0xB9, 0x39, 0x06, 0xF7, 0xA3, 0x34, 0x24, 0x14, 0xEF, 0xCF, 0xB3,
    0xA3, 0x85, 0xD4, 0x4C, 0xD1, 0xFD, 0x45, 0x90, 0x89, 0xD1, 0x9B, 0x50, 0x71, 0xC0, 0xB7, 0xA0};
constexpr std::array<BYTE, 48> kPolicyB384 = {
    0xB2, 0x6E, 0x7D, 0x28, 0xD1, 0x1A, 0x50, 0xBC, 0x53, 0xD8, 0x82, 0xBC, 0xF5, 0xFD, 0x3A, 0x1A,
    0x07, 0x41, 0x48, 0xBB, 0x35, 0xD3, 0xB4, 0xE4, 0xCB, 0x1C, 0x0A, 0xD9, 0xBD, 0xE4, 0x19, 0xCA,
    0xCB, 0x47, 0xBA, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0F, 0x9F, 0xC0, 0x00, 0xF3, 0xF8, 0x0E, 0x12};

TPMT_SYM_DEF_OBJECT aes_cfb(UINT16 bits) {
  TPMT_SYM_DEF_OBJECT aes{};
  aes.algorithm = TPM2_ALG_AES;
  aes.keyBits.aes = bits;
  aes.mode.aes = TPM2_ALG_CFB;
  return aes;
}

void set_policy(TPM2B_PUBLIC& key, std::span<const BYTE> policy) {
  key.publicArea.authPolicy.size = static_cast<UINT16>(policy.size());
  std::copy(policy.begin(), policy.end(), key.publicArea.authPolicy.buffer);
}

TPM2B_PUBLIC ecc(TPMA_OBJECT attributes, TPM2_ECC_CURVE curve = TPM2_ECC_NIST_P256) {
  TPM2B_PUBLIC key{};
  key.publicArea.type = TPM2_ALG_ECC;
  key.publicArea.nameAlg = TPM2_ALG_SHA256;
  key.publicArea.objectAttributes = attributes;
  auto& detail = key.publicArea.parameters.eccDetail;
  detail.symmetric.algorithm = TPM2_ALG_NULL;
  detail.scheme.scheme = TPM2_ALG_NULL;
  detail.curveID = curve;
  detail.kdf.scheme = TPM2_ALG_NULL;
  return key;
}

TPM2B_PUBLIC storage_ecc(TPMA_OBJECT attributes, UINT16 unique_size) {
  TPM2B_PUBLIC key = ecc(attributes);
  key.publicArea.parameters.eccDetail.symmetric = aes_cfb(128);
  key.publicArea.unique.ecc.x.size = unique_size;
  key.publicArea.unique.ecc.y.size = unique_size;
  return key;
}

TPM2B_PUBLIC storage_rsa(TPMA_OBJECT attributes, UINT16 unique_size) {
  TPM2B_PUBLIC key{};
  key.publicArea.type = TPM2_ALG_RSA;
  key.publicArea.nameAlg = TPM2_ALG_SHA256;
  key.publicArea.objectAttributes = attributes;
  auto& detail = key.publicArea.parameters.rsaDetail;
  detail.symmetric = aes_cfb(128);
  detail.scheme.scheme = TPM2_ALG_NULL;
  detail.keyBits = 2048;
  key.publicArea.unique.rsa.size = unique_size;
  return key;
}

TPM2B_PUBLIC ecdsa(TPMA_OBJECT attributes) {
  TPM2B_PUBLIC key = ecc(attributes);
  auto& scheme = key.publicArea.parameters.eccDetail.scheme;
  scheme.scheme = TPM2_ALG_ECDSA;
  scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  return key;
}

TPM2B_PUBLIC with_policy(TPM2B_PUBLIC key, std::span<const BYTE> policy) {
  set_policy(key, policy);
  return key;
}

TPM2B_PUBLIC p384_high() {
  TPM2B_PUBLIC key = ecc(kEndorsement | TPMA_OBJECT_USERWITHAUTH, TPM2_ECC_NIST_P384);
  key.publicArea.nameAlg = TPM2_ALG_SHA384;
  key.publicArea.parameters.eccDetail.symmetric = aes_cfb(256);
  set_policy(key, kPolicyB384);
  return key;
}

}  // namespace

TPM2B_PUBLIC srk_template() {
  return storage_ecc(
      kOurs | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT, 32);
}

TPM2B_PUBLIC attestation_template() {
  return ecdsa(kOurs | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_RESTRICTED |
               TPMA_OBJECT_SIGN_ENCRYPT);
}

TPM2B_PUBLIC signing_template() {
  return ecdsa(kOurs | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_SIGN_ENCRYPT);
}

TPM2B_PUBLIC sealed_template() {
  TPM2B_PUBLIC key{};
  key.publicArea.type = TPM2_ALG_KEYEDHASH;
  key.publicArea.nameAlg = TPM2_ALG_SHA256;
  key.publicArea.objectAttributes = kOurs;
  key.publicArea.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
  return key;
}

std::array<EndorsementTemplate, 5> endorsement_templates() {
  constexpr TPMA_OBJECT high = kEndorsement | TPMA_OBJECT_USERWITHAUTH;
  return {{
      {"rsa-2048", with_policy(storage_rsa(kEndorsement, 256), kPolicyA), 0x01C00002, 0x01C00003,
       0x01C00004, 0x81010001, true},
      {"p256", with_policy(storage_ecc(kEndorsement, 32), kPolicyA), 0x01C0000A, 0x01C0000B,
       0x01C0000C, 0x81010002, true},
      {"rsa-2048-high", with_policy(storage_rsa(high, 0), kPolicyB256), 0x01C00012, 0, 0x01C00013,
       0x81010012, false},
      {"p256-high", with_policy(storage_ecc(high, 0), kPolicyB256), 0x01C00014, 0, 0x01C00015,
       0x81010014, false},
      {"p384-high", p384_high(), 0x01C00016, 0, 0x01C00017, 0x81010016, false},
  }};
}

}  // namespace badged::keystore::tpm
