// PCR values as JSON, and selections as text.
#include "attest/tpm/pcr_values.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace badged;
  using namespace badged::attest::tpm;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto values = PcrValues::parse(text))
    for (const auto& value : values->all()) {
      require(value.pcr < badged::attest::kPcrCount, "a PCR that exists");
      require(value.size == bank_digest_size(value.bank), "of its bank's size");
      require(values->find(value.bank, value.pcr) == &value, "once");
    }
  if (const auto selection = parse_selection(text))
    require(canonical(parse_selection(selection_text(*selection)).value()) == canonical(*selection),
            "a selection written is the selection read");
  return 0;
}
