// The status list: the input as a compact JWS; as the claims of a list signed by the pinned key; as
// a zlib stream; and, deflated, as the statuses of a good list.
#include <string>

#include "attest/jose/base64url.h"
#include "attest/jose/status_list.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/signer.h"

namespace {

constexpr std::string_view kIssuer = "https://a.example";
constexpr std::string_view kUri = "https://a.example/status.jwt";
constexpr std::int64_t kNow = 1'800'000'000;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace badged;
  static const fuzz::Signer signer;
  static const auto kid = attest::thumbprint(signer.key);
  static const attest::Jwks keys({{kid, signer.key, "", {}}});
  const auto text = as_text({data, size});
  require(!attest::StatusList::verify(text, keys, kIssuer, kNow),
          "only the pinned key's lists are accepted");

  const auto signed_list = signer.jws(attest::status_list_header(kid), text);
  const auto list = attest::StatusList::verify(signed_list, keys, kIssuer, kNow);
  if (list) {
    (void)list->check(attest::StatusReference{0, list->subject()});
    require(!list->check(attest::StatusReference{~std::uint64_t{0}, list->subject()}),
            "no list is so long");
  }

  constexpr std::size_t kBound = 4096;
  const auto inflated = attest::inflate_bounded({data, size}, kBound);
  if (inflated) require(inflated->size() <= kBound, "inflation stops at its bound");

  const auto payload =
      attest::status_list_payload({kIssuer, kUri, kNow, kNow + 60, 30}, {data, size});
  require(payload.has_value(), "any statuses can be published");
  const auto own = attest::StatusList::verify(signer.jws(attest::status_list_header(kid), *payload),
                                              keys, kIssuer, kNow);
  require(own.has_value(), "what is published is accepted");
  for (std::size_t index = 0; index < size * 8; index += 1 + size / 16) {
    const bool is_set = (data[index / 8] >> index % 8 & 1) != 0;
    const bool good = own->check(attest::StatusReference{index, std::string(kUri)}).has_value();
    require(good != is_set, "each bit is read as it was written");
  }
  return 0;
}
