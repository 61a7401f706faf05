// Value types of keys: what is public about them, and where their private half lives.
#pragma once

#include "keystore/bytes.h"

namespace badged::keystore {

// Where a private key lives. Printed in every token and in `status`; never guessed.
enum class Custody {
  tpm,            // inside the TPM, certified by its attestation key
  locked_memory,  // in this process, in OpenSSL's secure heap
  software,       // a store that the admin asked for explicitly; development only
};

constexpr const char* to_string(Custody custody) {
  switch (custody) {
    case Custody::tpm:
      return "tpm";
    case Custody::locked_memory:
      return "locked-memory";
    case Custody::software:
      return "software";
  }
  return "unknown";
}

// A point on P-256, affine coordinates, big endian (RFC 7518 6.2.1: always 32 bytes each).
struct PublicKey {
  std::array<std::uint8_t, 32> x{};
  std::array<std::uint8_t, 32> y{};
  bool operator==(const PublicKey&) const = default;
};

// A statement by the attestation key about another key of the same TPM (TPM 2.0 Part 3, 18.2
// TPM2_Certify). All three are in TPM wire format (big endian, no outer size).
struct Certification {
  Bytes public_area;  // TPMT_PUBLIC of the certified key
  Bytes attest;       // TPMS_ATTEST, type TPM_ST_ATTEST_CERTIFY
  Bytes signature;    // TPMT_SIGNATURE by the AK over `attest`
};

}  // namespace badged::keystore
