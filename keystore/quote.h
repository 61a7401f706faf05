// Asking a TPM for its platform configuration registers, signed (TPM 2.0 Part 3, 18.4 TPM2_Quote).
#pragma once

#include <optional>
#include <string_view>

#include "keystore/bytes.h"
#include "keystore/result.h"

namespace badged::keystore {

// A PCR bank, by its TPM_ALG_ID. Others are never asked for.
enum class Bank : std::uint16_t {
  sha1 = 0x0004,
  sha256 = 0x000B,
  sha384 = 0x000C,
  sha512 = 0x000D
};
inline constexpr std::array kBanks{Bank::sha1, Bank::sha256, Bank::sha384, Bank::sha512};

const char* to_string(Bank bank);  // "sha1", "sha256", ...
std::optional<Bank> bank_named(std::string_view name);
std::size_t digest_size(Bank bank);  // bytes

// PCRs 0 to 23 are those of a PC Client TPM (PTP 4.6): three octets in every selection.
inline constexpr std::uint32_t kPcrs = 24;

// PCRs of one bank: bit N for PCR N.
struct PcrSelection {
  Bank bank = Bank::sha256;
  std::uint32_t pcrs = 0;
  bool operator==(const PcrSelection&) const = default;
};

struct PcrValue {
  Bank bank = Bank::sha256;
  std::uint32_t pcr = 0;
  Bytes value;  // digest_size(bank) bytes
};

struct QuoteAsk {
  Digest extra_data{};  // what the quote is bound to
  // Each bank at most once, each with a PCR, none from 24 up; at least one. Order does not matter.
  std::vector<PcrSelection> selection;
};

// All are what one TPM2_Quote signed: the digest in `attest` is that of `values`.
struct Quote {
  Bytes attest;     // TPMS_ATTEST, type TPM_ST_ATTEST_QUOTE
  Bytes signature;  // TPMT_SIGNATURE by the AK
  // In the order in which they were hashed: banks as they stand in the quote, PCRs ascending.
  std::vector<PcrValue> values;
};

// The ask with its banks in ascending order, or why it is none (Errc::refused).
Result<QuoteAsk> in_order(QuoteAsk ask);

}  // namespace badged::keystore
