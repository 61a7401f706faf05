#include "attest/jose/url.h"

#include "tests/attest/catch.h"

#include "attest/limits.h"

using namespace badged;
using namespace badged::attest;

static std::string normal(std::string_view url) {
  auto result = normalise_htu(url);
  return result ? *result : "refused";
}

TEST_CASE("htu: scheme and host have no case, the path has") {
  CHECK(normal("HTTPS://Ledger.Example.ORG/Api") == "https://ledger.example.org/Api");
  CHECK(normal("https://ledger.example.org/api") != normal("https://ledger.example.org/Api"));
}

TEST_CASE("htu: the default port and an empty port are left out") {
  CHECK(normal("https://a.example:443/x") == "https://a.example/x");
  CHECK(normal("http://a.example:80/x") == "http://a.example/x");
  CHECK(normal("http://a.example:443/x") == "http://a.example:443/x");
  CHECK(normal("https://a.example:/x") == "https://a.example/x");
  CHECK(normal("https://a.example:08443/x") == "https://a.example:8443/x");
}

TEST_CASE("htu: dot segments are removed, before and after decoding") {
  CHECK(normal("https://a.example/a/b/../c/./d") == "https://a.example/a/c/d");
  CHECK(normal("https://a.example/a/%2e%2E/b") == "https://a.example/b");
  CHECK(normal("https://a.example/../../a") == "https://a.example/a");
  CHECK(normal("https://a.example/a/..") == "https://a.example/");
  CHECK(normal("https://a.example/a/.") == "https://a.example/a/");
  CHECK(normal("https://a.example/a//b") == "https://a.example/a//b");
  CHECK(normal("https://a.example") == "https://a.example/");
}

TEST_CASE("htu: unreserved characters are decoded, %2F is not a slash") {
  CHECK(normal("https://a.example/%7Euser/%61") == "https://a.example/~user/a");
  CHECK(normal("https://a.example/a%2fb") == "https://a.example/a%2Fb");
  CHECK(normal("https://a.example/a%2Fb") != normal("https://a.example/a/b"));
  CHECK(normal("https://a.example/%252e") == "https://a.example/%252e");
}

TEST_CASE("htu: query and fragment are dropped") {
  CHECK(normal("https://a.example/x#f") == "https://a.example/x");
  CHECK(normal("https://a.example/x?q#f") == "https://a.example/x");
  CHECK(normal("https://a.example#f?q/../y") == "https://a.example/");
  CHECK(normal("x#https://a.example/") == "refused");
  CHECK(normal("https://a.example/x?q=/../y") == "https://a.example/x");
  CHECK(normal("https://a.example?q") == "https://a.example/");
}

TEST_CASE("htu: IPv6 literals have one form") {
  CHECK(normal("https://[2001:DB8:0:0::1]:8443/") == "https://[2001:db8::1]:8443/");
  CHECK(normal("https://[::1]") == "https://[::1]/");
  for (const char* bad :
       {"https://[::1", "https://::1]/", "https://[]/", "https://[fe80::1%25eth0]/",
        "https://[v1.x]/", "https://[::1]x/", "https://[:::1]/"})
    CHECK(normal(bad) == "refused");
}

TEST_CASE("htu: what has no place in it is refused") {
  for (const char* bad : {"https://user@a.example/",
                          "https://user:pw@a.example/",
                          "ftp://a.example/",
                          "a.example/x",
                          "//a.example/x",
                          "/x",
                          "",
                          "https://",
                          "https:///x",
                          "https://:443/",
                          "https://a.example:0/",
                          "https://a.example:65536/",
                          "https://a.example:-1/",
                          "https://a.example:4 43/",
                          "https://a.example:+443/",
                          "https://bücher.example/",
                          "https://a%2eexample/",
                          "https://a b/",
                          "https://a.example/ä",
                          "https://a.example/a b",
                          "https://a.example/\\b",
                          "https://a.example/%",
                          "https://a.example/%2",
                          "https://a.example/%zz",
                          "https://a.example/<",
                          "https://.example/",
                          " https://a.example/",
                          "https://a.example\\@b.example/"})
    CHECK(normal(bad) == "refused");
  CHECK(normal("https://xn--bcher-kva.example/") == "https://xn--bcher-kva.example/");
  CHECK(normal("https://a.example/" + std::string(kUrlBytes, 'a')) == "refused");
  CHECK(normal(std::string_view("https://a.example/\0", 19)) == "refused");
}

TEST_CASE("a URL lies under a base of the same origin and whole segments") {
  const std::string base = "https://a.example/api/";
  CHECK(lies_under("https://a.example/api/x", base));
  CHECK(lies_under("https://a.example/api/", base));
  CHECK_FALSE(lies_under("https://a.example/api", base));
  CHECK_FALSE(lies_under("https://a.example/apiary", base));
  CHECK_FALSE(lies_under("https://a.example/", base));
  CHECK_FALSE(lies_under("http://a.example/api/x", base));
  CHECK_FALSE(lies_under("https://a.example:8443/api/x", base));
  CHECK_FALSE(lies_under("https://b.example/api/x", base));
  CHECK_FALSE(lies_under("https://a.example/API/x", base));
  CHECK_FALSE(lies_under("https://a.example/api%2Fx", base));
  CHECK(lies_under("https://a.example/api/x", "https://a.example/api"));
  CHECK(lies_under("https://a.example/api", "https://a.example/api"));
  CHECK_FALSE(lies_under("https://a.example/apiary", "https://a.example/api"));
  CHECK(lies_under("https://a.example/anything", "https://a.example/"));
  CHECK_FALSE(lies_under("https://a.example.evil.example/", "https://a.example/"));
  CHECK_FALSE(lies_under("", base));
  CHECK_FALSE(lies_under(base, ""));
}

TEST_CASE("a URL does not lie under a base that a careless server would let it leave") {
  const std::string base = "https://a.example/api/";
  for (const char* path : {"..%2fadmin", "x/..%2F..%2Fadmin", "..%5Cadmin", "..;/admin",
                           "x/..;a=b/../..;/y", "%2e%2e%2fadmin", "%2e%2e;/admin"}) {
    const std::string url = normal(base + path);
    INFO(url);
    CHECK_FALSE(lies_under(url, base));
  }
  CHECK(lies_under(normal(base + "group%2Fproject"), base));
  CHECK(lies_under(normal(base + "v1..2/a...b"), base));
}
