// PCR values as somebody says they are, and which PCRs a policy asks for. Nothing here is trusted:
// quote.h compares them with what was signed.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "attest/limits.h"
#include "attest/tpm/structures.h"

namespace badged::attest::tpm {

// "sha1", "sha256", "sha384", "sha512"; empty for others, which no check accepts as a bank.
std::string_view bank_name(Alg bank);
Alg bank_of(std::string_view name);      // Alg::null for others
std::size_t bank_digest_size(Alg bank);  // 0 for others

struct PcrValue {
  Alg bank = Alg::null;
  unsigned pcr = 0;
  std::uint8_t size = 0;
  std::array<std::uint8_t, kTpmDigestBytes> bytes{};

  ByteView digest() const { return ByteView(bytes).first(size); }
};

class PcrValues {
 public:
  // {"sha256":{"0":"hex","7":"hex"}}: decimal numbers without leading zeros, 0 to 23; hex of
  // exactly the bank's size, either case. An unknown bank is Errc::refused, all else malformed.
  static Result<PcrValues> parse(std::string_view json);

  const PcrValue* find(Alg bank, unsigned pcr) const;
  const std::vector<PcrValue>& all() const { return values_; }

 private:
  std::vector<PcrValue> values_;
};

// "sha256:0,1,7" and "sha1:0+sha256:0,1", as tpm2-tools writes selections; one entry per bank.
// Refused: banks twice, unknown banks, PCRs above 23, an empty list.
Result<std::vector<PcrSelection>> parse_selection(std::string_view text);
std::string selection_text(const std::vector<PcrSelection>& selections);

// One entry per bank that has a PCR at all, in the order of the banks' numbers: two selections of
// the same PCRs become equal.
std::vector<PcrSelection> canonical(const std::vector<PcrSelection>& selections);

}  // namespace badged::attest::tpm
