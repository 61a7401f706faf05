// Key sets: what is accepted is on the curve, and reads the same after being written.
#include "attest/jose/jwk.h"
#include "attest/limits.h"
#include "keystore/bytes.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace badged;
  const auto keys = attest::Jwks::parse(as_text({data, size}));
  if (!keys) return 0;
  for (const auto& entry : keys->keys()) {
    require(attest::on_curve(entry.key), "every key is on the curve");
    require(attest::thumbprint(entry.key).size() == 43, "every key has a thumbprint");
    require(keys->find(entry.kid) == &entry, "every kid names one key");
  }
  const std::string written = keys->to_json();
  if (written.size() > attest::kJwksBytes) return 0;
  const auto again = attest::Jwks::parse(written);
  require(again.has_value() && again->to_json() == written, "a set survives being written");
  return 0;
}
