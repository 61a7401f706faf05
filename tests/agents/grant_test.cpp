// What a grant of a record may say.
#include <catch2/catch.hpp>

#include "tests/agents/samples.h"

using namespace badged::agents;
using namespace badged::agents::tests;
using Catch::Contains;

TEST_CASE("durations are whole seconds, minutes or hours, and never over the tier's limit") {
  for (const char* text :
       {"0s", "10", "m", "1d", "1.5h", "-5m", " 5m", "010m", "999999999s", "25h"}) {
    Sample sample;
    sample.grants = "[[grant]]\naudience = \"a\"\nmax_lifetime = \"" + std::string(text) + "\"\n";
    CAPTURE(text);
    CHECK_THAT(only_error(sample).message, Contains("'max_lifetime' in [[grant]]"));
  }
  Sample sample;
  sample.grants = "[[grant]]\naudience = \"https://a.example/\"\nmax_lifetime = \"1h\"\n";
  const LoadReport report = load(sample);
  CHECK(report.clean());
  CHECK(has_warning(report, "above the limit of tier elevated: tokens live 900s"));
  Derivation steps;
  const Record& record = *report.good->find("invoice-bot");
  CHECK(token_lifetime(record.grants[0], record.tier(), TierLimitTable().of(record.tier()),
                       steps) == std::chrono::minutes(15));
  CHECK(to_text(steps) ==
        "lifetime: the grant's max_lifetime -> 3600s\n"
        "lifetime: the limit of tier elevated -> 900s\n");
}

TEST_CASE("a grant's URLs are normalised, and default to an https audience") {
  Sample sample;
  sample.grants =
      "[[grant]]\naudience = \"https://Ledger.example.org:443/x\"\n"
      "[[grant]]\naudience = \"http://127.0.0.1:8080/\"\n"
      "[[grant]]\naudience = \"ledger\"\nurls = [\"HTTPS://A.example:443/%7eb\", "
      "\"http://localhost:1/\", \"http://[::1]:1/\", \"http://127.1.2.3/\"]\n";
  const LoadReport report = load(sample);
  INFO(all_of(report.problems));
  REQUIRE(report.clean());
  const auto& grants = report.good->find("invoice-bot")->grants;
  CHECK(grants[0].urls == std::vector<std::string>{"https://ledger.example.org/x"});
  CHECK(grants[0].audience == "https://Ledger.example.org:443/x");  // compared as a string
  CHECK(grants[1].urls.empty());
  CHECK(has_warning(report, "no `urls`: no proof can be made for 'http://127.0.0.1:8080/'"));
  CHECK(grants[2].urls.back() == "https://a.example/~b");
}

TEST_CASE("URLs that would carry a token in the clear or elsewhere are refused") {
  for (const char* url :
       {"http://ledger.example.org/", "http://127.evil.example/", "http://localhost.example/",
        "ftp://a/", "//a/b", "/b", "https://user@a.example/", "https://a.example/#x",
        "https://a.example/?q=1", "https://a.example:99999/", "https:///x", "javascript:1"}) {
    Sample sample;
    sample.grants = "[[grant]]\naudience = \"a\"\nurls = [\"" + std::string(url) + "\"]\n";
    CAPTURE(url);
    CHECK(only_error(sample).at.line == 16);
  }
}

TEST_CASE("audiences, scopes and detail types are bounded words") {
  auto refuses = [](const std::string& grant) {
    Sample sample;
    sample.grants = "[[grant]]\n" + grant;
    CAPTURE(grant);
    CHECK_FALSE(load(sample).clean());
  };
  refuses("scope = [\"x\"]\n");
  refuses("audience = \"two words\"\n");
  refuses("audience = \"eyJhbGciOiJIUzI1NiJ9.e30.c2ln\"\n");
  refuses("audience = \"" + std::string(513, 'a') + "\"\n");
  refuses("audience = \"a\"\nscope = [\"two words\"]\n");
  refuses("audience = \"a\"\nscope = [\"back\\\\slash\"]\n");
  refuses("audience = \"a\"\nscope = [\"" + std::string(129, 's') + "\"]\n");
  refuses("audience = \"a\"\nauthorization_details_types = [\"a b\"]\n");
  std::string many = "audience = \"a\"\nscope = [";
  for (int i = 0; i < 65; ++i) many += "\"s" + std::to_string(i) + "\",";
  refuses(many + "]\n");
  std::string grants = "audience = \"a\"\n";
  for (int i = 0; i < 64; ++i) grants += "[[grant]]\naudience = \"a" + std::to_string(i) + "\"\n";
  refuses(grants);
}

TEST_CASE("two grants for one audience are refused") {
  Sample sample;
  sample.grants += sample.grants;
  CHECK_THAT(only_error(sample).message, Contains("two grants for 'https://ledger.example.org/'"));
}

TEST_CASE("a record without a grant is known and gets nothing") {
  Sample sample;
  sample.grants = "";
  const LoadReport report = load(sample);
  CHECK(report.clean());
  CHECK(has_warning(report, "this agent is known but gets no token"));
}
