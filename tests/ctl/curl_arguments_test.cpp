#include "daemon/ctl/curl_arguments.h"

#include <catch2/catch.hpp>

using namespace badged::ctl;

TEST_CASE("the proof is for the method that curl will use") {
  auto method = [](std::vector<std::string> words) { return plan_curl(words).value().method; };
  CHECK(method({}) == "GET");
  CHECK(method({"-d", "a"}) == "POST");
  CHECK(method({"-sSda"}) == "POST");
  CHECK(method({"--json", "{}"}) == "POST");
  CHECK(method({"-F", "a=b"}) == "POST");
  CHECK(method({"-G", "-d", "a"}) == "GET");
  CHECK(method({"-T", "file"}) == "PUT");
  CHECK(method({"-I"}) == "HEAD");
  CHECK(method({"-XPATCH", "-d", "a"}) == "PATCH");
  CHECK(method({"-o", "-X"}) == "GET");  // the value of -o, whatever it looks like
}

TEST_CASE("clusters are handed on option by option") {
  CHECK(plan_curl({"-sSXPUT", "-o", "f"}).value().arguments ==
        std::vector<std::string>{"--silent", "--show-error", "--request", "PUT", "--output", "f"});
}

TEST_CASE("a quote or backslash cannot leave its place in curl's configuration") {
  CHECK(curl_config("https://a/", "DPoP", "t\"\\", "p") ==
        "url = \"https://a/\"\nheader = \"Authorization: DPoP t\\\"\\\\\"\nheader = \"DPoP: p\"\n");
}

TEST_CASE("the head of the final answer counts") {
  auto head = read_head(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\nDPoP-Nonce: n1\r\n"
      "WWW-Authenticate: DPoP error=\"use_dpop_nonce\"\r\n\r\n");
  CHECK(head.status == 401);
  CHECK(head.dpop_nonce == "n1");
  CHECK(head.wants_nonce);
  CHECK(read_head("HTTP/2 200\r\ncontent-type: text/plain\r\n\r\n").content_type == "text/plain");
}

TEST_CASE("an incomplete or alien head is no answer yet") {
  CHECK(read_head("").status == 0);
  CHECK(read_head("HTTP/1.1 200 OK\r\nA: b\r\n").status == 0);
  CHECK(read_head("HTTP/1.1 100 Continue\r\n\r\n").status == 0);
  CHECK(read_head("ICY 200 OK\r\n\r\n").status == 0);
}

TEST_CASE("only a challenge for a nonce is answered with one") {
  CHECK_FALSE(read_head("HTTP/1.1 401 U\r\nDPoP-Nonce: n\r\nWWW-Authenticate: DPoP "
                        "error=\"invalid_token\"\r\n\r\n")
                  .wants_nonce);
  CHECK_FALSE(
      read_head("HTTP/1.1 200 OK\r\nWWW-Authenticate: DPoP error=\"use_dpop_nonce\"\r\n\r\n")
          .wants_nonce);
  CHECK(read_head("HTTP/1.1 401 U\r\nDPoP-Nonce: a b\r\n\r\n").dpop_nonce.empty());
  CHECK(read_head("HTTP/1.1 401 U\r\nDPoP-Nonce: " + std::string(600, 'x') + "\r\n\r\n")
            .dpop_nonce.empty());
}
