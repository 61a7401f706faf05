// What is refused, clause by clause: no request may be read in two ways (hostile request shapes).
#include "tests/front/support.h"

using namespace badged;
using namespace badged::test;

namespace {

constexpr const char* kNoRequest = "400 this is not an HTTP/1.1 request";

std::string with(std::string_view header) {
  return request("GET /v1/jwks", {header});
}

// A request of exactly `size` bytes before its body.
std::string of_header_size(std::size_t size) {
  const auto bare = with("X-Pad: ").size();
  return with("X-Pad: " + std::string(size - bare, 'a'));
}

}  // namespace

TEST_CASE("refuses a body whose length is said twice, or in a way of its own") {
  const auto sent = [](std::initializer_list<std::string_view> lengths) {
    std::string out = "POST /v1/token HTTP/1.1\r\nHost: a\r\n";
    for (const auto length : lengths) out.append("Content-Length: ").append(length) += "\r\n";
    return refusal(out.append(kForm) + "\r\n\r\ngrant_type=a");
  };
  CHECK(sent({"12"}) == "accepted");
  CHECK(sent({"12", "12"}) == "400 Content-Length is given twice");
  CHECK(sent({"12", "3"}) == kNoRequest);
  CHECK(sent({"12, 12"}).substr(0, 3) == "413");
  for (const char* odd : {"", "+12", "-1", "0x0c", "1 2", "12.0", "99999999999999999999"})
    CHECK(sent({odd}) == kNoRequest);
}

TEST_CASE("refuses Transfer-Encoding, alone and beside Content-Length") {
  CHECK(refusal(request("POST /v1/token", {kForm, "Transfer-Encoding: chunked"}) + "0\r\n\r\n") ==
        "411 Transfer-Encoding is not accepted: send Content-Length");
  CHECK(refusal(request("POST /v1/token", {kForm, "Transfer-Encoding: identity"})).substr(0, 3) ==
        "411");
  CHECK(refusal(request("POST /v1/token", {kForm, "tRANSFER-eNCODING: xchunked"})).substr(0, 3) ==
        "411");
  CHECK(refusal(request("POST /v1/token",
                        {kForm, "Content-Length: 5", "Transfer-Encoding: chunked"})) == kNoRequest);
  CHECK(refusal(request("POST /v1/token",
                        {kForm, "Transfer-Encoding: chunked", "Content-Length: 5"})) == kNoRequest);
  CHECK(refusal(request("POST /v1/token", {kForm, "Transfer-Encoding : chunked"})) == kNoRequest);
}

TEST_CASE("refuses lines that end in LF alone or hold CR") {
  CHECK(refusal("GET /v1/jwks HTTP/1.1\nHost: a\r\n\r\n") == kNoRequest);
  CHECK(refusal(with("X-A: a\nX-B: b")) == kNoRequest);
  CHECK(refusal(with("X-A: a\rX-B: b")) == kNoRequest);
  CHECK(refusal("GET /v1/jwks HTTP/1.1\nHost: a\n\n") == "wants more");
  CHECK(refusal("\r\n" + with("X-A: a")) == kNoRequest);
}

TEST_CASE("refuses folded header lines") {
  CHECK(refusal(with("X-A: one\r\n two")) == "400 a header line is folded");
  CHECK(refusal(with("X-A: one\r\n\ttwo")) == "400 a header line is folded");
  CHECK(refusal(request("POST /v1/token", {"Transfer-Encoding:\r\n chunked"})) ==
        "400 a header line is folded");
  CHECK(refusal("GET /v1/jwks HTTP/1.1\r\n Host: a\r\n\r\n") == "400 a header line is folded");
}

TEST_CASE("refuses NUL and other control characters") {
  CHECK(refusal(with(std::string_view("X-A: a\0b", 8))) == kNoRequest);
  CHECK(refusal(with("X-A: a\x01")) == kNoRequest);
  CHECK(refusal(with("X-A: a\x7f")) == kNoRequest);
  CHECK(refusal(request(std::string_view("GET /v1/jw\0ks", 13))) == kNoRequest);
  CHECK(refusal(with(std::string_view("X\0A: a", 6))) == kNoRequest);
}

TEST_CASE("refuses other versions of HTTP") {
  CHECK(refusal("GET /v1/jwks HTTP/1.0\r\nHost: a\r\n\r\n") == "505 only HTTP/1.1 is served");
  for (const char* version : {" HTTP/1.2", " HTTP/2.0", " http/1.1", " HTTP/1.11", ""})
    CHECK(refusal("GET /v1/jwks" + std::string(version) + "\r\nHost: a\r\n\r\n") == kNoRequest);
  CHECK(refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == kNoRequest);
  CHECK(refusal(std::string("\x16\x03\x01\x02\0\x01\0\r\n\r\n", 11)) == kNoRequest);
}

TEST_CASE("refuses targets that are no path of ours") {
  for (const char* target : {"http://localhost/v1/jwks", "*", "localhost:80", "//v1/jwks",
                             "/v1/jwks/", "/v1//jwks", "/v1/%6awks", "/V1/jwks", "/v1/jwks#a", "/"})
    CHECK(refusal(request("GET " + std::string(target))) == "404 no such call on this socket");
}

TEST_CASE("refuses another method, and says so") {
  for (const char* method : {"HEAD", "OPTIONS", "PUT", "get", "POST"})
    CHECK(refusal(request(std::string(method) + " /v1/jwks")) ==
          "405 this call needs another method");
  CHECK(refusal(request("GET /v1/token")) == "405 this call needs another method");
}

TEST_CASE("refuses a request that came through a proxy") {
  for (const char* header : {"Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1",
                             "x-forwarded-for:", "FORWARDED: x"})
    CHECK(refusal(with(header)) ==
          "400 the request was proxied: badged must see the agent's own connection");
}

TEST_CASE("refuses a DPoP header: nobody but badged has the key") {
  CHECK(refusal(request("POST /v1/token", {kForm, "DPoP: eyJ0"}, "grant_type=a")).substr(0, 28) ==
        "400 a DPoP header is refused");
  CHECK(refusal(with("dpop: x")).substr(0, 3) == "400");
}

TEST_CASE("refuses Expect") {
  CHECK(refusal(request("POST /v1/token", {kForm, "Expect: 100-continue"}, "grant_type=a")) ==
        "417 Expect is not supported");
}

TEST_CASE("refuses a missing Host, and fields that two readers take differently when doubled") {
  CHECK(refusal("GET /v1/jwks HTTP/1.1\r\n\r\n") == "400 Host is required (RFC 9112 3.2)");
  CHECK(refusal(with("Host: other")) == "400 Host is given twice");
  CHECK(refusal(request("POST /v1/token", {kForm, kJson}, "grant_type=a")) ==
        "400 Content-Type is given twice");
  CHECK(refusal(request("GET /v1/jwks", {"Authorization: a", "Authorization: b"})) ==
        "400 Authorization is given twice");
}

TEST_CASE("a header of 8 KiB is taken, one byte more is not, and none is waited for") {
  CHECK(refusal(of_header_size(front::limits::kMaxHeader)) == "accepted");
  CHECK(refusal(of_header_size(front::limits::kMaxHeader + 1)) == "431 the header is too large");
  CHECK(refusal(std::string(front::limits::kMaxHeader, 'a')) == "431 the header is too large");
  CHECK(refusal(std::string(front::limits::kMaxHeader - 1, 'a')) == "wants more");
}

TEST_CASE("64 header fields are taken, one more is not") {
  const auto sent = [](std::size_t count) {
    std::string headers = "X-0: 0";
    for (std::size_t i = 1; i < count; ++i) headers += "\r\nX-" + std::to_string(i) + ": 0";
    return refusal(with(headers));
  };
  CHECK(sent(front::limits::kMaxHeaderFields - 1) == "accepted");  // Host is one
  CHECK(sent(front::limits::kMaxHeaderFields) == "431 too many header fields");
}

TEST_CASE("a body over the limit is refused by its announcement") {
  const auto announced = [](const std::string& length) {
    return refusal("POST /v1/token HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + "\r\n\r\n");
  };
  CHECK(announced("65536") == "wants more");
  CHECK(announced("65537") == "413 the body is too large");
  CHECK(announced("655360") == "413 the body is too large");
  CHECK(announced("6553600").substr(0, 3) == "413");
  CHECK(announced("18446744073709551615").substr(0, 3) == "413");
}

TEST_CASE("refuses a body or a query where the call has none") {
  CHECK(refusal(request("GET /v1/jwks", {}, "x")) == "400 this call takes no body");
  CHECK(refusal(request("GET /v1/jwks?")) == "400 this call takes no query string");
  CHECK(refusal(request("POST /v1/token?grant_type=a", {kForm}, "grant_type=a")) ==
        "400 this call takes no query string");
  CHECK(refusal(request("GET /v1/whoami?pid=1", {}, "x"), Socket::admin) ==
        "400 this call takes no body");
}
