// TPM 2.0 structures as they travel, parsed by our own bounded readers (TPM 2.0 Library, Part 2).
//
// Every parser takes exactly one structure: trailing bytes are an error, every size is checked
// against limits.h and against what is left before anything is allocated. Big endian.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "keystore/key.h"
#include "keystore/result.h"

namespace badged::attest::tpm {

// TPM_ALG_ID (Part 2, 6.3); only what we meet.
enum class Alg : std::uint16_t {
  rsa = 0x0001,
  sha1 = 0x0004,
  hmac = 0x0005,
  aes = 0x0006,
  keyedhash = 0x0008,
  sha256 = 0x000B,
  sha384 = 0x000C,
  sha512 = 0x000D,
  null = 0x0010,
  sm3_256 = 0x0012,
  rsassa = 0x0014,
  rsaes = 0x0015,
  rsapss = 0x0016,
  oaep = 0x0017,
  ecdsa = 0x0018,
  ecdh = 0x0019,
  ecdaa = 0x001A,
  sm2 = 0x001B,
  ecschnorr = 0x001C,
  ecc = 0x0023,
  symcipher = 0x0025,
  cfb = 0x0043,
};

// How a parser takes one that it does not know. What the TCG Algorithm Registry may name (all its
// numbers are below 0x0100) and we do not use is refused, a verdict on the algorithm; no TPM writes
// other numbers.
constexpr Errc not_ours(Alg alg) {
  return alg != Alg{} && static_cast<std::uint16_t>(alg) < 0x0100 ? Errc::refused : Errc::malformed;
}

enum class Curve : std::uint16_t { p256 = 0x0003, p384 = 0x0004, p521 = 0x0005 };

// TPMA_OBJECT (Part 2, 8.3).
namespace attribute {
constexpr std::uint32_t fixed_tpm = 1u << 1;
constexpr std::uint32_t st_clear = 1u << 2;
constexpr std::uint32_t fixed_parent = 1u << 4;
constexpr std::uint32_t sensitive_data_origin = 1u << 5;
constexpr std::uint32_t user_with_auth = 1u << 6;
constexpr std::uint32_t admin_with_policy = 1u << 7;
constexpr std::uint32_t no_da = 1u << 10;
constexpr std::uint32_t encrypted_duplication = 1u << 11;
constexpr std::uint32_t restricted = 1u << 16;
constexpr std::uint32_t decrypt = 1u << 17;
constexpr std::uint32_t sign = 1u << 18;
// Those that Part 2 keeps for later: 8 and 9 (firmwareLimited, svnLimited) and 19 (x509sign) have
// been given a meaning since 1.38.
constexpr std::uint32_t reserved = 1u << 0 | 1u << 3 | 0xFu << 12 | 0xFFFu << 20;
}  // namespace attribute

struct SigningScheme {
  Alg scheme = Alg::null;
  Alg hash = Alg::null;  // null where the scheme has none
};

struct EccPublic {
  Curve curve = Curve::p256;
  Bytes x;  // as sent: leading zeros may be missing
  Bytes y;
};

struct RsaPublic {
  std::uint16_t bits = 0;
  std::uint32_t exponent = 65537;  // 0 on the wire means this
  Bytes modulus;
};

// TPMT_PUBLIC of an ECC or RSA key. Keyed hashes, symmetric keys and other algorithms of the
// registry are Errc::refused: nothing that we use; what is not a public area at all is
// Errc::malformed, and so is one with a reserved attribute: no TPM makes it (Part 2, 8.3: "shall be
// zero").
struct PublicArea {
  Alg name_alg = Alg::null;
  std::uint32_t attributes = 0;
  Bytes policy;
  Alg symmetric = Alg::null;  // of storage keys
  SigningScheme scheme;
  std::variant<EccPublic, RsaPublic> key;

  bool has(std::uint32_t wanted) const { return (attributes & wanted) == wanted; }
};
Result<PublicArea> parse_public_area(ByteView bytes);

// The Name of a public area: nameAlg and the digest over all of its bytes (Part 1, 16). Refuses
// SHA-1.
Result<Bytes> compute_name(ByteView public_area);

// Of a P-256 area, padded to 32 bytes and on the curve.
Result<keystore::PublicKey> p256_key(const PublicArea& area);

// TPM_ST of attestations (Part 2, 6.9).
enum class AttestType : std::uint16_t {
  nv = 0x8014,
  command_audit = 0x8015,
  session_audit = 0x8016,
  certify = 0x8017,
  quote = 0x8018,
  time = 0x8019,
  creation = 0x801A,
  nv_digest = 0x801C,
};
std::string_view attest_type_name(AttestType type);    // "a quote", for people
constexpr std::uint32_t kGeneratedValue = 0xFF544347;  // TPM_GENERATED_VALUE: "\xffTCG"

struct ClockInfo {
  std::uint64_t clock = 0;  // milliseconds
  std::uint32_t reset_count = 0;
  std::uint32_t restart_count = 0;
  bool safe = false;
};

struct CertifyInfo {
  Bytes name;
  Bytes qualified_name;
};

struct PcrSelection {
  Alg hash = Alg::null;
  std::uint32_t pcrs = 0;  // bit n: PCR n
  bool operator==(const PcrSelection&) const = default;
};

struct QuoteInfo {
  std::vector<PcrSelection> selections;  // in the signed order
  Bytes digest;
};

struct OtherInfo {};  // the remaining types: read to the end, their content is not kept

struct Attest {
  std::uint32_t magic = 0;
  AttestType type = AttestType::certify;
  Bytes qualified_signer;
  Bytes extra_data;
  ClockInfo clock;
  std::uint64_t firmware_version = 0;
  std::variant<OtherInfo, CertifyInfo, QuoteInfo> body;
};
// Parse only bytes whose signature has been verified (certify.h). `magic` is kept, not judged.
Result<Attest> parse_attest(ByteView bytes);
// What it says it is, nothing behind that being read. nullopt: it ends before.
std::optional<AttestType> attest_type(ByteView bytes);

struct EcdsaSignature {
  Bytes r;  // as sent: leading zeros may be missing
  Bytes s;
};

// TPMT_SIGNATURE: ECDSA, RSASSA or RSAPSS. The other schemes of a TPM are Errc::refused, unread.
struct TpmSignature {
  SigningScheme scheme;
  std::variant<EcdsaSignature, Bytes> value;
};
Result<TpmSignature> parse_signature(ByteView bytes);

// r and s of a P-256 signature, each left padded to 32 bytes (H15: a TPM drops leading zeros).
Result<Signature> fixed_signature(const EcdsaSignature& signature);

}  // namespace badged::attest::tpm
