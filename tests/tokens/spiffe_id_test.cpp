// Names of strangers that read like SPIFFE IDs: which of them are, and of which trust domain.
#include "daemon/tokens/spiffe_id.h"

#include <catch2/catch.hpp>
#include <string>

using namespace badged::tokens;

TEST_CASE("whatever begins with spiffe: reads like a SPIFFE ID") {
  for (const char* text : {"spiffe:", "spiffe://a/b", "SPIFFE://A", "sPiFfE:x"})
    CHECK(looks_like_spiffe_id(text));
  for (const char* text : {"", "spiffe", "alice", "xspiffe://a", "spiffy:a", "https://spiffe:/"})
    CHECK_FALSE(looks_like_spiffe_id(text));
}

TEST_CASE("a SPIFFE ID has a trust domain") {
  CHECK(trust_domain_of("spiffe://example.org") == "example.org");
  CHECK(trust_domain_of("spiffe://example.org/host/B_7-x/agent/a.b") == "example.org");
  CHECK(trust_domain_of("spiffe://a-b_c.9/x") == "a-b_c.9");
  CHECK(trust_domain_of("spiffe://" + std::string(255, 'a') + "/x") == std::string(255, 'a'));
  CHECK(trust_domain_of("spiffe://a/" + std::string(2037, 'b')) == "a");
}

TEST_CASE("what is no SPIFFE ID has none") {
  for (const char* text : {"",
                           "spiffe:",
                           "spiffe:/",
                           "spiffe://",
                           "spiffe:///x",
                           "SPIFFE://example.org/x",
                           "spiffe://EXAMPLE.org/x",
                           "spiffe://example%2eorg/x",
                           "spiffe://example.org./x",
                           "spiffe://.example.org/x",
                           "spiffe://a..b/x",
                           "spiffe://a@example.org/x",
                           "spiffe://example.org:443/x",
                           "spiffe://example.org/",
                           "spiffe://example.org/x/",
                           "spiffe://example.org//x",
                           "spiffe://example.org/./x",
                           "spiffe://example.org/x/..",
                           "spiffe://example.org/%41",
                           "spiffe://example.org/a?b",
                           "spiffe://example.org/a#b",
                           "spiffe://example.org?b",
                           "spiffe://ex\xc3\xa4mple.org/x",
                           "spiffe://example.org/\xc3\xa4"}) {
    INFO(text);
    CHECK_FALSE(trust_domain_of(text));
  }
  CHECK_FALSE(trust_domain_of("spiffe://" + std::string(256, 'a') + "/x"));
  CHECK_FALSE(trust_domain_of("spiffe://a/" + std::string(2038, 'b')));
}
