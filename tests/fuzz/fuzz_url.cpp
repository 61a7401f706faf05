// URLs: the normal form is a fixed point, and nothing leaves the base it lies under.
#include "attest/jose/url.h"
#include "keystore/bytes.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace badged;
  const auto text = as_text({data, size});
  const auto half = text.substr(0, text.find('\n'));
  const auto url = attest::normalise_htu(half);
  if (!url) return 0;
  const auto again = attest::normalise_htu(*url);
  require(again.has_value() && *again == *url, "the normal form is a fixed point");
  require(url->find_first_of("?#@ ") == std::string::npos || url->find('@') > url->find('/', 8),
          "no query, fragment or user information is left");
  require(url->find("/../") == std::string::npos && url->find("/./") == std::string::npos,
          "no dot segments are left");
  if (half.size() == text.size()) return 0;
  const auto base = attest::normalise_htu(text.substr(half.size() + 1));
  if (!base || !attest::lies_under(*url, *base)) return 0;
  require(url->starts_with(*base), "what lies under a base begins with it");
  return 0;
}
