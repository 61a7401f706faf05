#include "attest/tpm/pcr_values.h"

#include <algorithm>
#include <charconv>

#include "attest/json/strict.h"

namespace badged::attest::tpm {

namespace json = boost::json;

namespace {

struct Bank {
  Alg alg;
  std::string_view name;
  std::size_t size;
};
constexpr Bank kBanks[] = {{Alg::sha1, "sha1", 20},
                           {Alg::sha256, "sha256", 32},
                           {Alg::sha384, "sha384", 48},
                           {Alg::sha512, "sha512", 64}};
constexpr std::size_t kMaxPcrMembers = std::size(kBanks) * (kPcrCount + 1);

Error unreadable(std::string_view why) {
  return fail(Errc::malformed, std::string("read the PCR values: ").append(why),
              R"(expected {"sha256":{"0":"HEX"}})");
}

bool read_index(std::string_view text, unsigned& pcr) {
  if (text.size() > 1 && text[0] == '0') return false;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), pcr);
  return ec == std::errc() && end == text.data() + text.size() && pcr < kPcrCount;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool read_hex(std::string_view text, std::size_t size, PcrValue& value) {
  if (text.size() != 2 * size) return false;
  for (std::size_t i = 0; i < size; ++i) {
    const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    value.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  value.size = static_cast<std::uint8_t>(size);
  return true;
}

Result<PcrValue> read_value(Alg bank, std::string_view index, const json::value& text) {
  PcrValue value{.bank = bank};
  if (!read_index(index, value.pcr)) return unreadable("a PCR is not a number from 0 to 23");
  if (!text.is_string() || !read_hex(text.get_string(), bank_digest_size(bank), value))
    return unreadable("a value is not the hex digits of its bank's digest");
  return value;
}

}  // namespace

std::string_view bank_name(Alg bank) {
  for (const auto& known : kBanks)
    if (known.alg == bank) return known.name;
  return {};
}

Alg bank_of(std::string_view name) {
  for (const auto& known : kBanks)
    if (known.name == name) return known.alg;
  return Alg::null;
}

std::size_t bank_digest_size(Alg bank) {
  for (const auto& known : kBanks)
    if (known.alg == bank) return known.size;
  return 0;
}

Result<PcrValues> PcrValues::parse(std::string_view text) {
  auto document =
      parse_strict_object(text, {.bytes = kPcrsBytes, .depth = 2, .members = kMaxPcrMembers});
  if (!document) return unreadable(document.error().what);
  PcrValues out;
  for (const auto& [name, bank] : *document) {
    const Alg alg = bank_of(name);
    if (alg == Alg::null)
      return fail(Errc::refused,
                  "read the PCR values: a bank of another algorithm than SHA-1, "
                  "SHA-256, SHA-384 and SHA-512");
    if (!bank.is_object()) return unreadable("a bank is no object");
    for (const auto& [index, digest] : bank.get_object()) {
      auto value = read_value(alg, index, digest);
      if (!value) return value.error();
      out.values_.push_back(*value);
    }
  }
  return out;
}

const PcrValue* PcrValues::find(Alg bank, unsigned pcr) const {
  const auto found = std::ranges::find_if(
      values_, [&](const PcrValue& value) { return value.bank == bank && value.pcr == pcr; });
  return found == values_.end() ? nullptr : &*found;
}

Result<std::vector<PcrSelection>> parse_selection(std::string_view text) {
  const auto wrong = [](std::string_view why) {
    return fail(Errc::malformed, std::string("read the PCR selection: ").append(why),
                "such as sha256:0,1,7 or sha256:0,7+sha384:0,7");
  };
  std::vector<PcrSelection> out;
  while (true) {
    const auto plus = text.find('+');
    std::string_view part = text.substr(0, plus);
    const auto colon = part.find(':');
    if (colon == part.npos) return wrong("no bank");
    PcrSelection selection{bank_of(part.substr(0, colon))};
    if (selection.hash == Alg::null) return wrong("an unknown bank");
    for (const auto& other : out)
      if (other.hash == selection.hash) return wrong("a bank twice");
    for (part.remove_prefix(colon + 1);;) {
      const auto comma = part.find(',');
      unsigned pcr = 0;
      if (!read_index(part.substr(0, comma), pcr)) return wrong("a PCR is no number from 0 to 23");
      selection.pcrs |= 1u << pcr;
      if (comma == part.npos) break;
      part.remove_prefix(comma + 1);
    }
    out.push_back(selection);
    if (plus == text.npos) return out;
    text.remove_prefix(plus + 1);
  }
}

std::string selection_text(const std::vector<PcrSelection>& selections) {
  std::string out;
  for (const auto& selection : selections) {
    if (!out.empty()) out += '+';
    const auto name = bank_name(selection.hash);
    out += name.empty() ? "alg" + std::to_string(static_cast<unsigned>(selection.hash))
                        : std::string(name);
    char before = ':';
    if (selection.pcrs == 0) out += ":none";
    for (unsigned pcr = 0; pcr < 32; ++pcr) {
      if ((selection.pcrs >> pcr & 1) == 0) continue;
      out += before;
      out += std::to_string(pcr);
      before = ',';
    }
  }
  return out.empty() ? "none" : out;
}

std::vector<PcrSelection> canonical(const std::vector<PcrSelection>& selections) {
  std::vector<PcrSelection> out;
  for (const auto& selection : selections) {
    if (selection.pcrs == 0) continue;
    const auto same = std::ranges::find(out, selection.hash, &PcrSelection::hash);
    if (same == out.end())
      out.push_back(selection);
    else
      same->pcrs |= selection.pcrs;
  }
  std::ranges::sort(out, {}, &PcrSelection::hash);
  return out;
}

}  // namespace badged::attest::tpm
