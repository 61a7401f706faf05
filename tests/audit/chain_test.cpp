// One line and the next: the bytes, and every way in which a chain breaks.
#include "daemon/audit/limits.h"
#include "daemon/audit/line.h"
#include "keystore/sha256.h"
#include "tests/audit/support.h"

using namespace badged;
using namespace badged::audit;
using namespace badged::test;

namespace {

std::string broken(const std::vector<std::string>& lines) {
  ChainLink link;
  for (const auto& line : lines)
    if (auto followed = follow_line(line, link); !followed) return followed.error().what;
  return "whole";
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a line is prev, seq, its members, and the hash of the bytes before it") {
  ChainLink link;
  std::string text;
  append_line(R"("time":"t","kind":"start")", link, text);
  const std::string hashed =
      R"({"prev":")" + std::string(64, '0') + R"(","seq":1,"time":"t","kind":"start")";
  const auto hash = keystore::sha256(as_bytes(hashed));
  CHECK(text == hashed + R"(,"hash":")" + to_hex(hash) + "\"}\n");
  CHECK(link == ChainLink{1, hash});
  append_line(R"("time":"t","kind":"stop")", link, text);
  CHECK(text.find(R"({"prev":")" + to_hex(hash) + R"(","seq":2,)") != std::string::npos);
}

TEST_CASE("an entry is its time, its kind and its members, bytes as printable ASCII") {
  Entry entry("finding");
  entry.text("path", std::string("\"\\/\n\0\x7f\xc3\xa9 a", 10)).number("n", -5);
  const auto& members = entry.members();
  CHECK(members.substr(0, 9) == "\"time\":\"2");
  CHECK(members.substr(33) ==
        R"(,"kind":"finding","path":"\"\\/\u000a\u0000\u007f\u00c3\u00a9 a","n":-5)");
  CHECK(Entry("x").text("long", std::string(5000, 'a')).members().size() <
        limits::kMaxTextMember + 100);
}

TEST_CASE("a name of JSON is found as it is written, and cut between characters") {
  Entry entry("token");
  entry.utf8("sub", "\xc3\xa4lice \"\\\n\xf0\x9f\xa6\x8a \x7f\xff");
  CHECK(entry.members().substr(33) ==
        ",\"kind\":\"token\",\"sub\":\"\xc3\xa4lice \\\"\\\\\\u000a\xf0\x9f\xa6\x8a \x7f\\\\xff\"");
  const auto long_name = std::string(limits::kMaxTextMember - 1, 'a') + "\xc3\xa4";
  CHECK(Entry("x").utf8("n", long_name).members().ends_with("aaa\""));
  CHECK(Entry("x").utf8("n", long_name.substr(1)).members().ends_with("aa\xc3\xa4\""));
}

TEST_CASE("a time is UTC with milliseconds") {
  CHECK(format_time(0) == "1970-01-01T00:00:00.000Z");
  CHECK(format_time(1769903999123) == "2026-01-31T23:59:59.123Z");
  CHECK(format_time(1769903999007) == "2026-01-31T23:59:59.007Z");
}

TEST_CASE("a whole chain is followed to its end") {
  const auto lines = chain(5);
  CHECK(broken(lines) == "whole");
  CHECK(end_of(lines).seq == 5);
}

TEST_CASE("names an edited line") {
  auto lines = chain(5);
  replace(lines[2], R"("n":3)", R"("n":4)");
  CHECK(broken(lines) == "line with seq 3 was edited: its hash does not match its bytes");
  lines = chain(5);
  lines[2].back() = ']';
  CHECK(broken(lines) == "read an audit line: it does not end with \"hash\" and 64 hex digits");
}

TEST_CASE("names a dropped line, a moved one and a doubled one") {
  auto lines = chain(5);
  lines.erase(lines.begin() + 1);
  CHECK(broken(lines) == "a line was dropped or moved: seq 2 expected, 3 found");
  lines = chain(5);
  std::swap(lines[1], lines[2]);
  CHECK(broken(lines) == "a line was dropped or moved: seq 2 expected, 3 found");
  lines = chain(5);
  lines.insert(lines.begin() + 2, lines[1]);
  CHECK(broken(lines) == "a line was dropped or moved: seq 3 expected, 2 found");
  lines = chain(5);
  lines.erase(lines.begin());
  CHECK(broken(lines) == "a line was dropped or moved: seq 1 expected, 2 found");
}

TEST_CASE("names a line that was edited and hashed anew") {
  auto lines = chain(5);
  std::string forged;
  ChainLink before = end_of({lines[0], lines[1]});
  append_line(R"("time":"t","kind":"denial")", before, forged);
  forged.pop_back();
  lines[2] = forged;
  CHECK(broken(lines) == "line with seq 4 does not continue the line before it: \"prev\" differs");
}

TEST_CASE("refuses what is no line") {
  const auto good = chain(1)[0];
  ChainLink link;
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(follow_line(std::string_view(good).substr(0, size), link));
  CHECK(link == ChainLink{});
  const auto why = [&](std::string_view from, std::string_view to) {
    auto line = good;
    replace(line, from, to);
    return split_line(line).error().what;
  };
  CHECK(why("prev", "prex") ==
        "read an audit line: it does not begin with \"prev\" and 64 hex digits");
  CHECK(why("000", "00A") ==
        "read an audit line: it does not begin with \"prev\" and 64 hex digits");
  CHECK(why("\"seq\"", "\"sex\"") == "read an audit line: \"seq\" does not follow \"prev\"");
  for (const char* number : {"\"seq\":-1,", "\"seq\":1.0,", "\"seq\":,", "\"seq\":\"1\",",
                             "\"seq\":18446744073709551616,"})
    CHECK(why("\"seq\":1,", number) == "read an audit line: \"seq\" is not a number");
  CHECK(why("\"hash\"", "\"hasH\"") ==
        "read an audit line: it does not end with \"hash\" and 64 hex digits");
}
