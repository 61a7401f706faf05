#include "attest/limits.h"
#include "attest/tpm/reader.h"
#include "attest/tpm/structures.h"

namespace badged::attest::tpm {

namespace {

Alg read_alg(Reader& in) {
  return static_cast<Alg>(in.u16());
}

// TPMI_YES_NO (Part 2, 9.2): nothing but 0 and 1.
bool read_flag(Reader& in) {
  const std::uint8_t value = in.u8();
  in.require(value <= 1, "a flag is neither 0 nor 1");
  return value == 1;
}

ClockInfo read_clock(Reader& in) {
  ClockInfo clock;
  clock.clock = in.u64();
  clock.reset_count = in.u32();
  clock.restart_count = in.u32();
  clock.safe = read_flag(in);
  return clock;
}

CertifyInfo read_certify(Reader& in) {
  CertifyInfo info;
  info.name = in.sized(kTpmNameBytes);
  info.qualified_name = in.sized(kTpmNameBytes);
  return info;
}

// TPMS_PCR_SELECTION (Part 2, 10.9.1). Bit n of byte k is PCR 8k + n.
PcrSelection read_selection(Reader& in) {
  PcrSelection selection{read_alg(in)};
  const std::size_t size = in.u8();
  in.require(size >= 1 && size <= kTpmPcrSelectBytes, "a PCR selection of impossible size");
  if (in.failed()) return selection;
  unsigned shift = 0;
  for (const std::uint8_t byte : in.take(size)) {
    selection.pcrs |= std::uint32_t{byte} << shift;
    shift += 8;
  }
  return selection;
}

QuoteInfo read_quote(Reader& in) {
  QuoteInfo info;
  const std::uint32_t count = in.u32();
  in.require(count <= kTpmPcrSelections, "more PCR selections than a TPM has banks");
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i)
    info.selections.push_back(read_selection(in));
  info.digest = in.sized(kTpmDigestBytes);
  return info;
}

// The types that nothing here relies on are read to their end, so that trailing bytes are found.
void read_other(Reader& in, AttestType type) {
  switch (type) {
    case AttestType::creation:
      in.sized(kTpmNameBytes);
      in.sized(kTpmDigestBytes);
      return;
    case AttestType::nv:
      in.sized(kTpmNameBytes);
      in.u16();  // offset
      in.sized(kTpmNvBytes);
      return;
    case AttestType::nv_digest:
      in.sized(kTpmNameBytes);
      in.sized(kTpmDigestBytes);
      return;
    case AttestType::time:
      in.u64();  // milliseconds since the last reset
      read_clock(in);
      in.u64();  // firmware
      return;
    case AttestType::session_audit:
      read_flag(in);
      in.sized(kTpmDigestBytes);
      return;
    case AttestType::command_audit:
      in.u64();  // counter
      read_alg(in);
      in.sized(kTpmDigestBytes);
      in.sized(kTpmDigestBytes);
      return;
    default:
      in.refuse("an unknown type of attestation");
  }
}

}  // namespace

std::string_view attest_type_name(AttestType type) {
  switch (type) {
    case AttestType::nv:
      return "an NV certification";
    case AttestType::command_audit:
      return "a command audit";
    case AttestType::session_audit:
      return "a session audit";
    case AttestType::certify:
      return "a key's certification";
    case AttestType::quote:
      return "a quote";
    case AttestType::time:
      return "a time statement";
    case AttestType::creation:
      return "a creation statement";
    case AttestType::nv_digest:
      return "an NV digest";
  }
  return "of an unknown type";
}

std::optional<AttestType> attest_type(ByteView bytes) {
  Reader in(bytes);
  in.u32();  // the magic
  const auto type = static_cast<AttestType>(in.u16());
  if (in.failed()) return std::nullopt;
  return type;
}

Result<Attest> parse_attest(ByteView bytes) {
  if (bytes.size() > kTpmStructureBytes)
    return fail(Errc::malformed, "read a TPM attestation: larger than allowed");
  Reader in(bytes);
  Attest attest;
  attest.magic = in.u32();
  attest.type = static_cast<AttestType>(in.u16());
  attest.qualified_signer = in.sized(kTpmNameBytes);
  attest.extra_data = in.sized(kTpmDataBytes);
  attest.clock = read_clock(in);
  attest.firmware_version = in.u64();
  if (attest.type == AttestType::certify)
    attest.body = read_certify(in);
  else if (attest.type == AttestType::quote)
    attest.body = read_quote(in);
  else
    read_other(in, attest.type);
  if (auto done = in.finish("a TPM attestation"); !done) return done.error();
  return attest;
}

Result<TpmSignature> parse_signature(ByteView bytes) {
  if (bytes.size() > kTpmStructureBytes)
    return fail(Errc::malformed, "read a TPM signature: larger than allowed");
  Reader in(bytes);
  TpmSignature signature;
  const Alg scheme = read_alg(in);
  const bool rsa = scheme == Alg::rsassa || scheme == Alg::rsapss;
  // Before what follows is read: others have no hash, or other members (Part 2, 11.3.3).
  if (!rsa && scheme != Alg::ecdsa) in.refuse("neither ECDSA, RSASSA nor RSAPSS", not_ours(scheme));
  signature.scheme = {scheme, read_alg(in)};
  if (rsa) {
    signature.value = in.sized(kTpmRsaBytes);
  } else {
    EcdsaSignature ecdsa;
    ecdsa.r = in.sized(kTpmEccBytes);
    ecdsa.s = in.sized(kTpmEccBytes);
    signature.value = std::move(ecdsa);
  }
  if (auto done = in.finish("a TPM signature"); !done) return done.error();
  return signature;
}

}  // namespace badged::attest::tpm
