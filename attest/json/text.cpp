#include "attest/json/text.h"

#include <algorithm>

#include "attest/json/strict.h"

namespace badged::attest {

namespace {

struct Range {
  char32_t first, last;
};

// Controls, spaces but U+0020, and what Unicode calls Default_Ignorable_Code_Point
// (DerivedCoreProperties): joiners, fillers, selectors, tags, and those that turn the direction.
constexpr Range kUnseen[] = {
    {0x0000, 0x001F},   {0x007F, 0x00A0},   {0x00AD, 0x00AD}, {0x034F, 0x034F}, {0x061C, 0x061C},
    {0x115F, 0x1160},   {0x1680, 0x1680},   {0x17B4, 0x17B5}, {0x180B, 0x180F}, {0x2000, 0x200F},
    {0x2028, 0x202F},   {0x205F, 0x206F},   {0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164},
    {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0x1BCA0, 0x1BCA3},
    {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
};

bool is_unseen(char32_t c) {
  return std::any_of(std::begin(kUnseen), std::end(kUnseen),
                     [c](const Range& range) { return range.first <= c && c <= range.last; });
}

// Takes the first character of well-formed UTF-8, which is not empty.
char32_t take(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t c = length == 1 ? lead : lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length && i < text.size(); ++i)
    c = c << 6 | (static_cast<unsigned char>(text[i]) & 0x3Fu);
  text.remove_prefix(std::min(length, text.size()));
  return c;
}

}  // namespace

bool has_unseen(std::string_view text) {
  const auto whole = as_utf8(text);
  if (whole != text) return true;
  for (std::string_view left = whole; !left.empty();)
    if (is_unseen(take(left))) return true;
  return false;
}

std::string in_quotes(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string json, out;
  append_json_string(json, text);
  for (std::string_view left = json; !left.empty();) {
    const auto before = left;
    const auto c = take(left);
    if (!is_unseen(c)) {
      out += before.substr(0, before.size() - left.size());
      continue;
    }
    // Beyond U+FFFF as JSON writes it: two surrogates (RFC 8259 7).
    const bool pair = c > 0xFFFF;
    for (const char32_t unit : {pair ? 0xD800 + ((c - 0x10000) >> 10) : c, 0xDC00 + (c & 0x3FF)}) {
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out += kHex[unit >> shift & 15];
      if (!pair) break;
    }
  }
  return out;
}

}  // namespace badged::attest
