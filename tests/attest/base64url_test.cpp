#include "attest/jose/base64url.h"

#include "tests/attest/catch.h"

using namespace badged;
using namespace badged::attest;

TEST_CASE("base64url encodes as RFC 4648 and RFC 7515 say") {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    CHECK(base64url(as_bytes(plain)) == encoded);
    CHECK(as_text(decode_base64url(encoded, 16).value()) == plain);
  }
  const Bytes appendix_c{3, 236, 255, 224, 193};
  CHECK(base64url(appendix_c) == "A-z_4ME");
  CHECK(decode_base64url("A-z_4ME", 5).value() == appendix_c);
}

TEST_CASE("base64url appends to what is there") {
  std::string out = "head.";
  append_base64url(out, as_bytes("foo"));
  CHECK(out == "head.Zm9v");
}

TEST_CASE("base64url refuses every second text for a value") {
  for (const char* bad : {"Zg==", "Zg=", "Zh", "Zm9", "Zm-", "Z", "Zm9vY", "Zm9v ", " Zm9v",
                          "Zm\n9v", "Zm+v", "Zm/v", "Zm9v\xc3\xa4"})
    CHECK_FALSE(decode_base64url(bad, 64));
  CHECK_FALSE(decode_base64url(std::string_view("Zm\0v", 4), 64));
}

TEST_CASE("base64url refuses every character outside its alphabet, wherever it stands") {
  const std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (std::size_t place = 0; place < 10; ++place)
    for (int c = 0; c < 256; ++c) {
      std::string text = "AAAAAAAAAAA";  // two groups of four and one of three
      text[place] = static_cast<char>(c);
      CAPTURE(place, c);
      CHECK(decode_base64url(text, 64).has_value() ==
            (alphabet.find(text[place]) != alphabet.npos));
    }
}

TEST_CASE("base64url refuses more than it may decode") {
  CHECK(decode_base64url("Zm9v", 3));
  CHECK_FALSE(decode_base64url("Zm9v", 2));
}

TEST_CASE("base64url of fixed size is exactly that") {
  std::array<std::uint8_t, 3> three{};
  CHECK(decode_base64url("Zm9v", three));
  CHECK_FALSE(decode_base64url("Zm8", three));
  CHECK_FALSE(decode_base64url("Zm9vYg", three));
}
