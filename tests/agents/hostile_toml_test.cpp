// Texts made to hurt the parser: an answer in words every time, never a crash (run under ASan too).
#include <catch2/catch.hpp>

#include "tests/agents/samples.h"

using namespace badged::agents;
using namespace badged::agents::tests;
using Catch::Contains;

namespace {

std::string repeated(std::string_view piece, std::size_t bytes) {
  std::string out;
  while (out.size() + piece.size() <= bytes) out += piece;
  return out;
}

std::string errors(std::string_view text) {
  const ParsedRecord parsed = parse_record(text, "x.toml");
  CHECK_FALSE(parsed.record);
  return errors_of(parsed.problems);
}

}  // namespace

TEST_CASE("deep nesting is refused, whatever it is made of") {
  const std::size_t room = kMaxRecordBytes - 16;
  for (const std::string& text :
       {"a = " + repeated("[", room), "a = " + repeated("{a=", room),
        repeated("a.", room) + "a = 1", "[" + repeated("a.", room) + "a]",
        "[[" + repeated("a.", room) + "a]]", "a = " + repeated("[{a=", room),
        "a = " + repeated("[{a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=", room)}) {
    CAPTURE(text.substr(0, 20));
    CHECK_FALSE(errors(text).empty());
  }
}

TEST_CASE("long arrays, keys and strings are bounded") {
  CHECK_FALSE(errors("systems = [" + repeated("1,", kMaxRecordBytes - 20) + "]").empty());
  CHECK_FALSE(errors(repeated("k", kMaxRecordBytes - 20) + " = 1").empty());
  CHECK_FALSE(errors("name = \"" + repeated("n", kMaxRecordBytes - 20) + "\"").empty());
  const std::string many = [] {
    std::string out;
    for (int i = 0; i < 2000; ++i) out += "k" + std::to_string(i) + "=1\n";
    return out;
  }();
  const std::string said = errors(many);
  CHECK_THAT(said, Contains("too many problems in this file"));
  CHECK(said.size() < 64 * 1024);
}

TEST_CASE("a NUL byte is named with its place") {
  std::string text = "name = \"x\"\nowner = \"a b\"\n";
  text[text.find("a b") + 1] = '\0';
  CHECK_THAT(errors(text), Contains("x.toml:2:11: error: a NUL byte"));
}

TEST_CASE("CRLF lines and a byte order mark are fine, a bare CR is not") {
  std::string crlf;
  for (char c : Sample{}.text()) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(load_file("invoice-bot.toml", crlf).clean());
  CHECK(load_file("invoice-bot.toml", "\xef\xbb\xbf" + Sample{}.text()).clean());
  CHECK_FALSE(errors("name = \"x\"\rowner = \"y\"").empty());
}

TEST_CASE("a key or table that stands twice is an error with its place") {
  CHECK_THAT(errors("name = \"x\"\nname = \"y\"\n"), Contains("x.toml:2:"));
  CHECK_THAT(errors("[match]\n[match]\n"), Contains("x.toml:2:"));
  CHECK_THAT(errors("[match]\nuid = 1\n[match.uid]\n"), Contains("x.toml:3:"));
  CHECK_THAT(errors("match.uid = 1\n[match]\nuid = 2\n"), Contains("x.toml:2:"));
  CHECK_THAT(errors("grant = []\n[[grant]]\n"), Contains("x.toml:2:"));
}

TEST_CASE("bytes that are no UTF-8, and text that is no TOML, are named") {
  for (const char* text : {"\xff\xfe",
                           "name = \"\xc3\"",
                           "name = \"\xed\xa0\x80\"",
                           "\x1b[31m = 1",
                           "= 1",
                           "name",
                           "name =",
                           "name = \"x",
                           "[",
                           "[[",
                           "]",
                           "{}",
                           "\"\\x\" = 1",
                           "name = \"\\ud800\"",
                           "a = 99999999999999999999",
                           "a = 0x",
                           "a = 1e999999",
                           "a = 9999-99-99",
                           "a = nan",
                           "a = inf",
                           "a = '''",
                           "a = \"\"\"\\",
                           "a.",
                           ".a"}) {
    CAPTURE(text);
    const std::string said = errors(text);
    CHECK_THAT(said, Contains("x.toml"));
    for (char c : said) CHECK((c == '\n' || (c >= 0x20 && c < 0x7f)));
  }
}

TEST_CASE("letters of every script are text in strings and an error elsewhere") {
  Sample sample;
  for (const char* owner :
       {"Jos\xc3\xa9", "\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd", "\xe3\x81\x82", "\xf0\x9f\x98\x80"}) {
    CAPTURE(owner);
    sample.top = "vendor = { name = \"" + std::string(owner) + "\" }\n";
    CHECK(load(sample).clean());
    sample.top = "vendor.name = \"\"\"\\\n   " + std::string(owner) + "\"\"\"\n";
    CHECK(load(sample).clean());
    sample.top = "# " + std::string(owner) + "\n";
    CHECK(load(sample).clean());
    CHECK_FALSE(errors(std::string(owner) + " = 1\n").empty());
    CHECK_FALSE(errors("a" + std::string(owner) + " = 1" + owner + "\n").empty());
    CHECK_FALSE(errors("a = " + std::string(owner) + "\n").empty());
  }
}

TEST_CASE("keys that try to write to the terminal are shown harmless") {
  CHECK_THAT(errors("\"\\u001b[2J\\n\" = 1\n"), Contains("unknown key '\\x1b[2J\\x0a'"));
}

TEST_CASE("days that no calendar has are refused") {
  Sample sample;
  sample.top = "reassess_by = 2027-02-29\n";
  CHECK_FALSE(load(sample).clean());
}
