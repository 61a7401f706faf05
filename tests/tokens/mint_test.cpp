// The members of a token, whole, and what makes two requests the same.
#include "daemon/tokens/mint.h"

#include <set>

#include "attest/json/strict.h"
#include "tests/tokens/samples.h"

using namespace badged;
using namespace badged::test;
using namespace badged::tokens;

namespace {

constexpr const char* kList = "https://badged.example.org/status.jwt";
const Host kHost{"https://badged.example.org", "example.org", "build-7"};

}  // namespace

TEST_CASE("a token has exactly the members of the protocol, in this order") {
  const auto session = memory_session();
  const auto grant = ledger_grant();
  const std::string common =
      R"({"iss":"https://badged.example.org",)"
      R"("sub":"spiffe://example.org/host/build-7/agent/invoice-bot",)"
      R"("aud":"https://ledger.example.org/","client_id":"invoice-bot","iat":1000,"exp":1600,)"
      R"("jti":"j-1","txn":"t-1")";
  CHECK(
      token_payload(
          {kHost, grant, *session, "j-1", "t-1", 1000, 1600, 0, 5, kList, std::nullopt}) ==
      common + R"(,"scope":"invoices.read invoices.write","cnf":{"jkt":")" + session->jkt() +
          R"("},"status":{"status_list":{"idx":5,"uri":"https://badged.example.org/status.jwt"}},)"
          R"("badged":{"tier":"baseline","binding":"process","session":"s-1","epoch":0,)"
          R"("host":{"attestation":"none","custody":"locked-memory"}}})");
  auto other = grant;
  other.scope.clear();
  other.details = {{"pay", R"({"type":"pay"})"}, {"see", R"({"type":"see"})"}};
  other.token_type = policy::TokenType::bearer;
  other.tier = agents::Tier::elevated;
  other.binding = agents::Binding::unit;
  Digest digest{};
  digest.fill(0xab);
  std::string hex;
  for (int i = 0; i < 32; ++i) hex += "ab";
  CHECK(token_payload({kHost, other, *session, "j-1", "t-1", 1000, 1600, 3, 4096, kList, digest}) ==
        common +
            R"(,"authorization_details":[{"type":"pay"},{"type":"see"}],)"
            R"("status":{"status_list":{"idx":4096,)"
            R"("uri":"https://badged.example.org/status.jwt"}},)"
            R"("badged":{"tier":"elevated","binding":"unit","session":"s-1","epoch":3,)"
            R"("executable_sha256":")" +
            hex + R"(","host":{"attestation":"none","custody":"locked-memory"}}})");
}

TEST_CASE("a payload is JSON whatever the host is called") {
  const auto session = memory_session();
  const Host host{"https://a\"b\\", "x\n", "\xc3\xa9"};
  const auto grant = ledger_grant();
  const auto payload =
      token_payload({host, grant, *session, "j", "t", 1, 2, 0, 0, kList, std::nullopt});
  const auto parsed = attest::parse_strict_object(payload);
  REQUIRE(parsed);
  CHECK(attest::string_member(*parsed, "iss", "").value() == "https://a\"b\\");
}

TEST_CASE("an answer is the token and what was granted, lacking only its end") {
  auto grant = ledger_grant();
  CHECK(answer_head("a.b.c", grant) ==
        R"({"access_token":"a.b.c","token_type":"DPoP","scope":"invoices.read invoices.write",)"
        R"("expires_in":)");
  grant.scope.clear();
  grant.details = {{"pay", R"({"type":"pay"})"}};
  grant.token_type = policy::TokenType::bearer;
  CHECK(answer_head("a.b.c", grant) == R"({"access_token":"a.b.c","token_type":"Bearer",)"
                                       R"("authorization_details":[{"type":"pay"}],"expires_in":)");
}

TEST_CASE("requests are the same when audience, scope, details, lifetime and type are") {
  std::set<std::string> keys;
  const auto is_new = [&](const policy::Grant& grant) {
    return keys.insert(cache_key(grant)).second;
  };
  auto grant = ledger_grant();
  CHECK(is_new(grant));
  CHECK_FALSE(is_new(grant));
  grant.urls = {"https://ledger.example.org/api/"};
  CHECK_FALSE(is_new(grant));
  grant.audience += 'x';
  CHECK(is_new(grant));
  grant.scope = {"invoices.read"};
  CHECK(is_new(grant));
  grant.scope = {};
  CHECK(is_new(grant));
  grant.details = {{"invoices.read", "invoices.read"}};
  CHECK(is_new(grant));
  grant.details.push_back({"pay", R"({"type":"pay"})"});
  CHECK(is_new(grant));
  grant.lifetime += std::chrono::seconds(1);
  CHECK(is_new(grant));
  grant.token_type = policy::TokenType::bearer;
  CHECK(is_new(grant));
}
