#include "attest/json/strict.h"

#include <boost/json/parse.hpp>
#include "tests/attest/catch.h"

using namespace badged;
using namespace badged::attest;

static bool accepts(std::string_view text) {
  return parse_strict(text).has_value();
}

TEST_CASE("JSON of every kind is read") {
  const auto value =
      parse_strict(R"({"a":[1,2.5,"x",true,null],"b":{"c":-1},"d":"\u00e4\ud83d\ude00"})");
  REQUIRE(value);
  CHECK(*value == boost::json::parse(R"({"a":[1,2.5,"x",true,null],"b":{"c":-1},"d":"ä😀"})"));
  CHECK(accepts(" {} \n"));
}

TEST_CASE("JSON with a member twice is refused at any depth") {
  CHECK_FALSE(accepts(R"({"a":1,"a":1})"));
  CHECK_FALSE(accepts(R"({"a":1,"b":2,"a":3})"));
  CHECK_FALSE(accepts(R"({"x":{"a":1,"a":2}})"));
  CHECK_FALSE(accepts(R"([{"a":{"b":[{"c":1,"c":2}]}}])"));
  CHECK_FALSE(accepts(R"({"a":{"x":1},"a":{"y":1,"z":2}})"));
  CHECK(accepts(R"({"a":{"a":1},"b":{"a":1}})"));
}

TEST_CASE("JSON with a member twice is refused when one is escaped") {
  CHECK_FALSE(accepts("{\"exp\":1,\"\\u0065xp\":2}"));
}

TEST_CASE("JSON that goes too deep is refused without a deep stack") {
  CHECK(accepts(std::string(kJsonDepth, '[') + std::string(kJsonDepth, ']')));
  CHECK_FALSE(accepts(std::string(kJsonDepth + 1, '[') + std::string(kJsonDepth + 1, ']')));
  CHECK_FALSE(accepts(std::string(10000, '[') + std::string(10000, ']')));
  std::string objects;
  for (int i = 0; i < 10000; ++i) objects += "{\"a\":";
  CHECK_FALSE(accepts(objects));
}

TEST_CASE("JSON with too many members or bytes is refused") {
  const auto list = [](std::size_t n) {
    std::string text = "[0";
    for (std::size_t i = 1; i < n; ++i) text += ",0";
    return text + "]";
  };
  CHECK(accepts(list(kJsonMembers)));
  CHECK_FALSE(accepts(list(kJsonMembers + 1)));
  CHECK_FALSE(parse_strict("[1,2,3]", {.members = 2}));
  CHECK_FALSE(accepts("\"" + std::string(kJsonBytes, 'a') + "\""));
  CHECK_FALSE(parse_strict("{}   ", {.bytes = 4}));
}

TEST_CASE("JSON followed by something is refused") {
  for (const char* bad : {"{}{}",     "{} x", "1 2",   "[]]",        "{},",     "",     " ",
                          "{",        "[1,",  "[1,]",  "{\"a\":1,}", "/* */{}", "{}//", "NaN",
                          "Infinity", "'a'",  "{a:1}", "01",         "+1",      ".5",   "1."})
    CHECK_FALSE(accepts(bad));
  CHECK_FALSE(accepts(std::string_view("{}\0", 3)));
}

TEST_CASE("JSON that is not UTF-8 is refused") {
  for (const char* bad :
       {"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe4\"",
        "{\"\xff\":1}", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\x01\"", "\xef\xbb\xbf{}"})
    CHECK_FALSE(accepts(bad));
}

TEST_CASE("JSON numbers beyond their types are refused") {
  CHECK(accepts("9223372036854775807"));
  CHECK(accepts("18446744073709551615"));
  CHECK_FALSE(accepts("18446744073709551616"));
  CHECK_FALSE(accepts("-9223372036854775809"));
  CHECK_FALSE(accepts(std::string(400, '9')));
  CHECK(accepts("1e308"));
  CHECK_FALSE(accepts("1e309"));
  CHECK_FALSE(accepts("-1e400"));
  CHECK_FALSE(accepts("1e99999999999"));
}

TEST_CASE("an integer member is an integer and nothing like it") {
  const auto object =
      parse_strict_object(
          R"({"i":5,"n":-5,"f":5.0,"e":5e0,"big":1e308,"u":18446744073709551615,"s":"5","t":true,"z":null})")
          .value();
  CHECK(integer_member(object, "i", "x").value() == 5);
  CHECK(integer_member(object, "n", "x").value() == -5);
  for (const char* name : {"f", "e", "big", "u", "s", "t", "z", "absent"})
    CHECK_FALSE(integer_member(object, name, "x"));
  CHECK_FALSE(optional_integer(object, "z", "x"));
  CHECK(optional_integer(object, "absent", "x").value() == std::nullopt);
}

TEST_CASE("a missing member is named in the error, its value never") {
  const auto object = parse_strict_object(R"({"a":7})").value();
  CHECK(string_member(object, "aud", "the token's claims").error().what ==
        "read the token's claims: `aud` is missing");
  CHECK(string_member(object, "a", "the claims").error().what ==
        "read the claims: `a` is not a string");
  CHECK_FALSE(object_member(object, "a", "the claims"));
  CHECK_FALSE(parse_strict_object("[]"));
}

TEST_CASE("a JSON string survives being written, whatever it holds") {
  using namespace std::string_literals;
  const std::string text = "a\"b\\c\n\t\x01\x1f ä😀 \0 end"s;
  std::string written;
  append_json_string(written, text);
  const auto read = parse_strict(written);
  REQUIRE(read);
  CHECK(std::string_view(read->as_string()) == text);
}

TEST_CASE("escapes each character wherever it stands in a string") {
  const std::string_view hex = "0123456789abcdef";
  for (int byte = 0; byte < 0x80; ++byte) {
    const auto c = static_cast<char>(byte);
    std::string escaped(1, c);
    if (c == '"' || c == '\\') escaped.insert(0, 1, '\\');
    if (byte < 0x20) escaped = std::string("\\u00") + hex[byte >> 4 & 15] + hex[byte & 15];
    for (std::size_t place = 0; place < 20; ++place) {
      const std::string before(place, 'x'), after(20 - place, ' ');
      std::string written;
      append_json_string(written, before + c + after);
      REQUIRE(written == '"' + before + escaped + after + '"');
    }
  }
}

TEST_CASE("bytes that are no UTF-8 are written so that the JSON is, and no two look alike") {
  std::string written;
  append_json_string(written, "/tmp/\xff\xc3(\xed\xa0\x80 \xc3\xa9");
  CHECK(written == R"("/tmp/\\xff\\xc3(\\xed\\xa0\\x80 )"
                   "\xc3\xa9\"");
  CHECK(parse_strict(written));
  CHECK(as_utf8("caf\xc3\xa9 \xf0\x9f\x98\x80") == "caf\xc3\xa9 \xf0\x9f\x98\x80");
  CHECK(as_utf8("\xc0\x80") == R"(\xc0\x80)");                    // overlong
  CHECK(as_utf8("a\xf4\x90\x80\x80") == R"(a\xf4\x90\x80\x80)");  // beyond U+10FFFF
  CHECK(as_utf8("\xe2\x82") == R"(\xe2\x82)");                    // cut off
}
