// parse_strict: no crash, and what it accepts means the same after being written and read again.
#include <boost/json/serialize.hpp>

#include "attest/json/strict.h"
#include "keystore/bytes.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace badged;
  const auto value = attest::parse_strict(as_text({data, size}));
  if (!value) return 0;
  const auto again = attest::parse_strict(boost::json::serialize(*value), {.bytes = 1 << 20});
  require(again.has_value(), "what was accepted can be written and read again");
  if (value->is_string()) {
    std::string written;
    const auto& string = value->get_string();
    attest::append_json_string(written, {string.data(), string.size()});
    const auto read = attest::parse_strict(written, {.bytes = 1 << 20});
    require(read.has_value() && read->is_string() && read->get_string() == string,
            "a string survives append_json_string");
  }
  return 0;
}
