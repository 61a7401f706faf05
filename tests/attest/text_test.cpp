// Names that strangers choose and people read.
#include "attest/json/text.h"

#include "tests/attest/catch.h"

using namespace badged::attest;

TEST_CASE("what a screen does not show as a character of its own is found") {
  for (const char* bad :
       {"a\x01",           "\x7f",         "\xc2\x80",     "\xc2\x9b",     "a\xc2\xa0z",
        "\xe1\x9a\x80",    "\xe2\x80\x80", "\xe2\x80\x8b", "\xe2\x80\x8f", "\xe2\x80\xa8",
        "\xe2\x80\xae",    "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe2\x81\xa6", "\xe2\x81\xaf",
        "\xe3\x80\x80",    "\xef\xbb\xbf", "\xff",         "\xc2\xad",     "\xcd\x8f",
        "\xd8\x9c",        "\xe1\xa0\x8e", "\xe3\x85\xa4", "\xef\xb8\x8f", "\xef\xbf\xb9",
        "\xf3\xa0\x81\x81"}) {
    INFO(in_quotes(bad));
    CHECK(has_unseen(bad));
  }
  for (const char* good :
       {"", "a b~", "\xc2\xa1", "\xc3\xa4lice", "\xe1\x9a\x81", "\xe2\x80\x90", "\xe2\x80\xb0",
        "\xe2\x81\x9e", "\xe2\x81\xb0", "\xe3\x80\x81", "\xef\xbb\xbe", "\xf0\x9f\xa6\x8a"}) {
    INFO(good);
    CHECK_FALSE(has_unseen(good));
  }
}

TEST_CASE("in quotes nothing acts on a terminal") {
  CHECK(in_quotes("\xc3\xa4 \"\\ \xf0\x9f\xa6\x8a") == "\"\xc3\xa4 \\\"\\\\ \xf0\x9f\xa6\x8a\"");
  CHECK(in_quotes("a\xc2\x9b\x31m\x7f\n") == R"("a\u009b1m\u007f\u000a")");
  CHECK(in_quotes("\xf3\xa0\x81\x81\xd8\x9c") == R"("\udb40\udc41\u061c")");
  CHECK(in_quotes("\xe2\x80\xaetxt\xff") == R"("\u202etxt\\xff")");
}
