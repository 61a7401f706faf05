#include "attest/json/strict.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <cmath>
#include <cstring>
#include <string>

namespace badged::attest {

namespace json = boost::json;

namespace {

// Builds the value as Boost's own parser does, counts what it sees, and refuses what JSON leaves
// open.
class StrictHandler {
 public:
  static constexpr std::size_t max_object_size = kJsonBytes * 16;
  static constexpr std::size_t max_array_size = kJsonBytes * 16;
  static constexpr std::size_t max_key_size = kJsonBytes * 16;
  static constexpr std::size_t max_string_size = kEvidenceBytes;  // a log in one string

  explicit StrictHandler(std::size_t members) : left_(members + 1) {  // and the root
    stack_.reset();
  }

  std::size_t keys = 0;
  const char* fault = nullptr;  // why we stopped the parser, where it was us

  json::value release() { return stack_.release(); }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_array_begin(json::error_code& ec) { return count(ec); }
  bool on_array_end(std::size_t n, json::error_code&) {
    stack_.push_array(n);
    return true;
  }
  bool on_object_begin(json::error_code& ec) { return count(ec); }
  bool on_object_end(std::size_t n, json::error_code&) {
    stack_.push_object(n);
    return true;
  }
  bool on_string_part(json::string_view s, std::size_t, json::error_code&) {
    stack_.push_chars(s);
    return true;
  }
  bool on_string(json::string_view s, std::size_t, json::error_code& ec) {
    stack_.push_string(s);
    return count(ec);
  }
  bool on_key_part(json::string_view s, std::size_t, json::error_code&) {
    stack_.push_chars(s);
    return true;
  }
  bool on_key(json::string_view s, std::size_t, json::error_code&) {
    ++keys;
    stack_.push_key(s);
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t i, json::string_view, json::error_code& ec) {
    stack_.push_int64(i);
    return count(ec);
  }
  bool on_uint64(std::uint64_t u, json::string_view, json::error_code& ec) {
    stack_.push_uint64(u);
    return count(ec);
  }
  // Also called for integers beyond 64 bits, which would silently lose digits.
  bool on_double(double d, json::string_view text, json::error_code& ec) {
    const bool integer = text.find_first_of(".eE") == json::string_view::npos;
    if (integer || !std::isfinite(d)) return stop(ec, "a number is out of range");
    stack_.push_double(d);
    return count(ec);
  }
  bool on_bool(bool b, json::error_code& ec) {
    stack_.push_bool(b);
    return count(ec);
  }
  bool on_null(json::error_code& ec) {
    stack_.push_null();
    return count(ec);
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  bool stop(json::error_code& ec, const char* why) {
    fault = why;
    ec = json::error::exception;
    return false;
  }
  bool count(json::error_code& ec) {
    return left_-- > 0 || stop(ec, "too many members and elements");
  }

  json::value_stack stack_;
  std::size_t left_;
};

// Boost keeps one of several members of a name: then fewer are found than keys were parsed.
std::size_t members_of(const json::value& value) {
  std::size_t n = 0;
  if (const auto* object = value.if_object()) {
    n += object->size();
    for (const auto& member : *object) n += members_of(member.value());
  } else if (const auto* array = value.if_array()) {
    for (const auto& element : *array) n += members_of(element);
  }
  return n;
}

Error bad_json(std::string_view why) {
  return fail(Errc::malformed, std::string("parse JSON: ").append(why));
}

Error bad_member(std::string_view where, std::string_view name, std::string_view why) {
  std::string what("read ");
  what.append(where).append(": `").append(name).append("` ").append(why);
  return fail(Errc::malformed, std::move(what));
}

// How many bytes of well-formed UTF-8 (RFC 3629 4) stand at the front of `text`, which is not
// empty; 0: none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto lead = byte(0);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length < 2 || length > text.size()) return length == 1 ? 1 : 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool beyond = (lead == 0xED && byte(1) > 0x9F) || (lead == 0xF4 && byte(1) > 0x8F);
  return overlong || beyond ? 0 : length;
}

constexpr char kHex[] = "0123456789abcdef";

}  // namespace

Result<json::value> parse_strict(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) return bad_json("longer than allowed");
  json::parse_options options;
  options.max_depth = limits.depth;
  json::basic_parser<StrictHandler> parser(options, limits.members);
  json::error_code ec;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (parser.handler().fault != nullptr) return bad_json(parser.handler().fault);
  if (ec) return bad_json(ec.message());
  if (!parser.done()) return bad_json("the text ends too early");
  if (used < text.size()) return bad_json("something follows the document");
  json::value value = parser.handler().release();
  if (members_of(value) != parser.handler().keys) return bad_json("a member stands twice");
  return value;
}

Result<json::object> parse_strict_object(std::string_view text, const JsonLimits& limits) {
  auto value = parse_strict(text, limits);
  if (!value) return value.error();
  if (!value->is_object()) return bad_json("not an object");
  return std::move(value->get_object());
}

Result<std::optional<std::string_view>> optional_string(const json::object& from,
                                                        std::string_view name,
                                                        std::string_view where) {
  const auto* value = from.if_contains(name);
  if (value == nullptr) return std::optional<std::string_view>{};
  const auto* string = value->if_string();
  if (string == nullptr) return bad_member(where, name, "is not a string");
  return std::optional<std::string_view>(std::string_view(string->data(), string->size()));
}

Result<std::optional<std::int64_t>> optional_integer(const json::object& from,
                                                     std::string_view name,
                                                     std::string_view where) {
  const auto* value = from.if_contains(name);
  if (value == nullptr) return std::optional<std::int64_t>{};
  const auto* integer = value->if_int64();
  if (integer == nullptr) return bad_member(where, name, "is not an integer of 64 bits");
  return std::optional<std::int64_t>(*integer);
}

Result<std::string_view> string_member(const json::object& from, std::string_view name,
                                       std::string_view where) {
  auto found = optional_string(from, name, where);
  if (!found) return found.error();
  if (!*found) return bad_member(where, name, "is missing");
  return **found;
}

Result<std::int64_t> integer_member(const json::object& from, std::string_view name,
                                    std::string_view where) {
  auto found = optional_integer(from, name, where);
  if (!found) return found.error();
  if (!*found) return bad_member(where, name, "is missing");
  return **found;
}

Result<std::optional<std::int64_t>> optional_time(const json::object& from, std::string_view name,
                                                  std::string_view where) {
  auto found = optional_integer(from, name, where);
  if (found && *found && (**found < 0 || **found > kLatestTime))
    return bad_member(where, name, "is no time of ours");
  return found;
}

Result<const json::object*> object_member(const json::object& from, std::string_view name,
                                          std::string_view where) {
  const auto* value = from.if_contains(name);
  if (value == nullptr) return bad_member(where, name, "is missing");
  if (!value->is_object()) return bad_member(where, name, "is not an object");
  return &value->get_object();
}

std::string as_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto length = utf8_length(text);
    if (length > 0) {
      out += text.substr(0, length);
    } else {
      const auto byte = static_cast<unsigned char>(text[0]);
      out.append("\\x").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

namespace {

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

// Whether all eight characters stand for themselves, for all at once: a token has 150 such groups.
bool are_plain(std::uint64_t eight) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kTops = kOnes << 7;
  const auto below = [&](std::uint64_t word, unsigned limit) {
    return (word - kOnes * limit) & ~word & kTops;  // exact where no byte of it is above 0x7F
  };
  return ((eight & kTops) | below(eight, 0x20) | below(eight ^ kOnes * '"', 1) |
          below(eight ^ kOnes * '\\', 1)) == 0;
}

// How many characters from the beginning stand for themselves.
std::size_t plain_length(std::string_view text) {
  std::size_t i = 0;
  std::uint64_t eight = 0;
  for (; i + sizeof eight <= text.size(); i += sizeof eight) {
    std::memcpy(&eight, text.data() + i, sizeof eight);
    if (!are_plain(eight)) break;
  }
  while (i < text.size() && is_plain(text[i])) ++i;
  return i;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  const auto beyond_ascii = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
  const auto plain = plain_length(text);
  std::string converted;
  if (std::any_of(text.begin() + static_cast<std::ptrdiff_t>(plain), text.end(), beyond_ascii))
    text = converted = as_utf8(text);
  out += '"';
  std::size_t done = 0;
  for (std::size_t i = plain; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, done, i - done);
    done = i + 1;
    if (c >= 0x20) {
      out += '\\';
      out += text[i];
    } else {
      out.append("\\u00").append(1, kHex[c >> 4]).append(1, kHex[c & 15]);
    }
  }
  out.append(text, done);
  out += '"';
}

}  // namespace badged::attest
