#include "attest/jose/base64url.h"

namespace badged::attest {

namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kBad = 0xFF;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kBad);
  for (std::uint8_t i = 0; i < 64; ++i) values[static_cast<std::uint8_t>(kAlphabet[i])] = i;
  return values;
}
constexpr auto kValues = make_values();

std::uint8_t value_of(char c) {
  return kValues[static_cast<std::uint8_t>(c)];
}

// `text` has no impossible length and `out` room for its bytes.
bool decode_into(std::string_view text, std::uint8_t* out) {
  std::uint8_t bad = 0;  // values are below 64: any bit above says that a character was not one
  std::size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    // In one step: GCC does not unroll a loop over four characters, which takes half as long again.
    const std::uint8_t a = value_of(text[i]), b = value_of(text[i + 1]);
    const std::uint8_t c = value_of(text[i + 2]), d = value_of(text[i + 3]);
    bad |= a | b | c | d;
    *out++ = static_cast<std::uint8_t>(a << 2 | b >> 4);
    *out++ = static_cast<std::uint8_t>(b << 4 | c >> 2);
    *out++ = static_cast<std::uint8_t>(c << 6 | d);
  }
  const std::size_t rest = text.size() - i;
  if (rest == 0) return bad < 64;
  std::uint32_t bits = 0;
  for (std::size_t k = 0; k < rest; ++k) {
    const std::uint8_t value = value_of(text[i + k]);
    bad |= value;
    bits = bits << 6 | (value & 0x3Fu);
  }
  const unsigned spare = rest == 2 ? 4 : 2;  // bits of the last character that belong to no byte
  if ((bits & ((1u << spare) - 1)) != 0) return false;
  bits >>= spare;
  if (rest == 3) *out++ = static_cast<std::uint8_t>(bits >> 8);
  *out = static_cast<std::uint8_t>(bits);
  return bad < 64;
}

constexpr std::size_t decoded_length(std::size_t characters) {
  return characters * 3 / 4;
}

}  // namespace

void append_base64url(std::string& out, ByteView bytes) {
  const std::size_t start = out.size();
  out.resize(start + base64url_length(bytes.size()));
  char* to = out.data() + start;
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t bits = bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2];
    *to++ = kAlphabet[bits >> 18];
    *to++ = kAlphabet[bits >> 12 & 63];
    *to++ = kAlphabet[bits >> 6 & 63];
    *to++ = kAlphabet[bits & 63];
  }
  const std::size_t rest = bytes.size() - i;
  if (rest == 0) return;
  const std::uint32_t bits = bytes[i] << 16 | (rest == 2 ? bytes[i + 1] << 8 : 0);
  *to++ = kAlphabet[bits >> 18];
  *to++ = kAlphabet[bits >> 12 & 63];
  if (rest == 2) *to = kAlphabet[bits >> 6 & 63];
}

std::string base64url(ByteView bytes) {
  std::string out;
  append_base64url(out, bytes);
  return out;
}

Result<Bytes> decode_base64url(std::string_view text, std::size_t max_bytes) {
  if (text.size() % 4 == 1)
    return fail(Errc::malformed, "decode base64url: no value has this length");
  const std::size_t length = decoded_length(text.size());
  if (length > max_bytes) return fail(Errc::malformed, "decode base64url: longer than allowed");
  Bytes out(length);
  if (!decode_into(text, out.data()))
    return fail(Errc::malformed,
                "decode base64url: a character outside its alphabet, padding, or stray bits");
  return out;
}

bool decode_base64url(std::string_view text, std::span<std::uint8_t> exactly) {
  return text.size() == base64url_length(exactly.size()) && decode_into(text, exactly.data());
}

}  // namespace badged::attest
