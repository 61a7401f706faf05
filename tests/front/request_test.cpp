// What a good request becomes, in one piece or in many.
#include "tests/front/support.h"

using namespace badged;
using namespace badged::test;

namespace {

const std::string kToken =
    request("POST /v1/token", {"User-Agent: curl/7.88.1", "Accept: */*", kForm},
            "grant_type=client_credentials&audience=https%3A%2F%2Fledger.example.org%2F"
            "&scope=invoices.read+invoices.write&resource=a&resource=b");

// As a connection feeds them: every cut at `cuts`, never before as many bytes as were asked for.
front::Outcome feed(std::string_view bytes, std::initializer_list<std::size_t> cuts) {
  std::size_t scanned = 0;
  std::size_t need = 1;
  front::Outcome outcome;
  for (const auto size : cuts) {
    if (size < need) continue;
    outcome = front::parse_request(bytes.substr(0, size), kCalls, Socket::agent, scanned);
    const auto* more = std::get_if<front::NeedMore>(&outcome);
    if (more == nullptr) return outcome;
    REQUIRE(more->at_least > size);
    need = more->at_least;
  }
  return outcome;
}

std::string told(const front::Outcome& outcome) {
  if (const auto* bad = std::get_if<front::BadRequest>(&outcome))
    return std::to_string(bad->status) + ' ' + bad->description;
  if (std::holds_alternative<front::NeedMore>(outcome)) return "wants more";
  const auto& parsed = std::get<front::Parsed>(outcome);
  std::string out = std::to_string(parsed.used) + ' ' + std::to_string(parsed.request.call);
  for (const auto& field : parsed.request.fields) out += ' ' + field.name + '=' + field.value;
  return out;
}

}  // namespace

TEST_CASE("a token request becomes its call and its decoded fields, in order") {
  const auto request = accepted(kToken);
  CHECK(request.call == token);
  CHECK(request.keep_alive);
  CHECK_FALSE(request.no_cache);
  CHECK(request.fields.size() == 5);
  CHECK(request.get("grant_type") == "client_credentials");
  CHECK(request.get("audience") == "https://ledger.example.org/");
  CHECK(request.get("scope") == "invoices.read invoices.write");
  CHECK(values_of(request, "resource") == "a|b");
  CHECK(request.get("token_type") == std::nullopt);
}

TEST_CASE("a proof request becomes the strings of its JSON object") {
  const auto request = accepted(json(
      R"({"method":"POST","url":"https:\/\/l.example\/x","access_token":"a.b.c","nonce":"\u006e"})"));
  CHECK(request.call == proof);
  CHECK(request.get("url") == "https://l.example/x");
  CHECK(request.get("nonce") == "n");
}

TEST_CASE("one path is another call on another socket") {
  CHECK(accepted(request("GET /v1/whoami")).call == whoami);
  const auto asked = accepted(request("GET /v1/whoami?pid=4711"), Socket::admin);
  CHECK(asked.call == whoami_of);
  CHECK(asked.get("pid") == "4711");
  CHECK(accepted(request("GET /v1/jwks"), Socket::admin).call == jwks);
  CHECK(refusal(request("POST /v1/reload")) == "404 no such call on this socket");
  CHECK(refusal(request("POST /v1/token", {kForm}, "grant_type=a"), Socket::admin) ==
        "404 no such call on this socket");
}

TEST_CASE("the last segment of an agent's path is its name, of the letters that names have") {
  CHECK(accepted(request("GET /v1/agents/invoice-bot"), Socket::admin).get("name") ==
        "invoice-bot");
  for (const char* name : {"", "A", "a/b", "..", "a%2f", "a_b", "a.b", "\xc3\xa9"})
    CHECK(refusal(request("GET /v1/agents/" + std::string(name)), Socket::admin) ==
          "404 no such call on this socket");
}

TEST_CASE("Connection and Cache-Control are read as lists") {
  CHECK_FALSE(accepted(request("GET /v1/jwks", {"Connection: close"})).keep_alive);
  CHECK_FALSE(accepted(request("GET /v1/jwks", {"connection: Upgrade, CLOSE"})).keep_alive);
  CHECK(accepted(request("GET /v1/jwks", {"Connection: keep-alive"})).keep_alive);
  CHECK(accepted(request("GET /v1/jwks", {"Cache-Control: max-age=0, No-Cache"})).no_cache);
  CHECK(accepted(request("GET /v1/jwks", {"Cache-Control: a", "Cache-Control: no-cache ,b"}))
            .no_cache);
  CHECK_FALSE(accepted(request("GET /v1/jwks", {"Cache-Control: max-age=0"})).no_cache);
  CHECK_FALSE(accepted(request("GET /v1/jwks", {"Cache-Control: no-cached"})).no_cache);
}

TEST_CASE("two requests in one piece are two requests, whatever the second is") {
  const std::string first = request("GET /v1/jwks");
  for (const std::string& second :
       {kToken, first, std::string("\0\r\n\r\n", 5), std::string(200'000, 'x'), std::string("G")}) {
    const auto outcome = parse(first + second);
    REQUIRE(std::holds_alternative<front::Parsed>(outcome));
    CHECK(std::get<front::Parsed>(outcome).used == first.size());
    CHECK(std::get<front::Parsed>(outcome).request.call == jwks);
  }
}

TEST_CASE("a body is as long as Content-Length says: what follows is the next request") {
  const auto outcome =
      parse(request("POST /v1/token", {kForm, "Content-Length: 12"}) + "grant_type=a&scope=b");
  REQUIRE(std::holds_alternative<front::Parsed>(outcome));
  CHECK(told(outcome) == "125 0 grant_type=a");
}

TEST_CASE("cut anywhere, a request means the same") {
  const std::string bad = request("POST /v1/token", {kForm, "Transfer-Encoding: chunked"});
  const std::string late = form("grant_type=a&grant_type=b");
  const std::string two = request("GET /v1/jwks") + kToken;
  for (const std::string& bytes : {kToken, bad, late, two}) {
    const auto whole = told(parse(bytes));
    CHECK(whole != "wants more");
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut)
      if (const auto pieces = told(feed(bytes, {cut, bytes.size()})); pieces != whole)
        FAIL("cut at " << cut << ": " << pieces);
    std::size_t scanned = 0;
    front::Outcome outcome = front::NeedMore{1};
    for (std::size_t size = 1; std::holds_alternative<front::NeedMore>(outcome); ++size)
      outcome = front::parse_request(std::string_view(bytes).substr(0, size), kCalls, Socket::agent,
                                     scanned);
    CHECK(told(outcome) == whole);
  }
}

TEST_CASE("every prefix of a good request wants more, and says how much once it knows") {
  const auto body = kToken.find("\r\n\r\n") + 4;
  for (std::size_t size = 0; size < kToken.size(); ++size) {
    const auto outcome = parse(std::string_view(kToken).substr(0, size));
    REQUIRE(std::holds_alternative<front::NeedMore>(outcome));
    CHECK(std::get<front::NeedMore>(outcome).at_least == (size < body ? size + 1 : kToken.size()));
  }
}

TEST_CASE("a sender of single bytes does not make the codec look at a byte twice") {
  // A false end, where looking began anew it would be found.
  std::string bytes = "GET /v1/jwks HTTP/1.1\r\nHost: a\r\n\r\n";
  std::size_t scanned = 0;
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    const auto outcome = front::parse_request(std::string_view(bytes).substr(0, size), kCalls,
                                              Socket::agent, scanned);
    REQUIRE(std::holds_alternative<front::NeedMore>(outcome));
    CHECK(scanned == size);
  }
  // Bytes before `scanned` are not searched: with an end put there the header goes on.
  scanned = 30;
  const std::string moved = "a\r\n\r\n" + std::string(40, 'b');
  CHECK(std::holds_alternative<front::NeedMore>(
      front::parse_request(moved, kCalls, Socket::agent, scanned)));
}
