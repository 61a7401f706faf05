// What an agent may have: record AND request AND tier (H12).
#include <catch2/catch.hpp>

#include "daemon/policy/decision.h"
#include "tests/agents/samples.h"

using namespace badged;
using namespace badged::policy;
using agents::tests::Sample;
using Catch::Contains;
using std::chrono::minutes;

namespace {

const std::string kLedger = "https://ledger.example.org/";
const std::string kMail = "https://mail.example.org/";

agents::RecordPtr record_of(const Sample& sample) {
  const auto report = agents::tests::load(sample);
  INFO(agents::tests::all_of(report.problems));
  REQUIRE(report.clean());
  return report.good->find(sample.name);
}

Sample two_grants() {
  Sample sample;
  sample.grants += "[[grant]]\naudience = \"" + kMail + "\"\nscope = [\"mail.send\"]\n";
  return sample;
}

Sample in_cell(const char* autonomy, const char* access) {
  Sample sample;
  sample.autonomy = autonomy;
  sample.access = access;
  return sample;
}

Standing good_standing() {
  return {.store_custody = keystore::Custody::tpm,
          .store_condition = keystore::Condition::ready,
          .store_message = {},
          .store_hint = {},
          .software_accepted = false,
          .clock_trustworthy = true};
}

Decision ask(const Sample& sample, const Ask& ask, const Standing& standing = good_standing(),
             const agents::TierLimitTable& limits = {}) {
  return decide(*record_of(sample), ask, standing, limits);
}

policy::Grant granted(const Decision& decision) {
  if (const auto* denial = std::get_if<Denial>(&decision)) {
    INFO(to_string(denial->code) << ": " << denial->description);
    REQUIRE(std::holds_alternative<policy::Grant>(decision));
  }
  return std::get<policy::Grant>(decision);
}

Denial denied(const Decision& decision) {
  REQUIRE(std::holds_alternative<Denial>(decision));
  const Denial denial = std::get<Denial>(decision);
  CHECK_FALSE(denial.description.empty());
  CHECK_FALSE(denial.reason.empty());
  return denial;
}

Ask for_audience(std::string audience) {
  Ask ask;
  ask.audiences = {std::move(audience)};
  return ask;
}

Ask with_scope(std::vector<std::string> scope) {
  Ask ask;
  ask.scope = std::move(scope);
  ask.scope_given = true;
  return ask;
}

}  // namespace

TEST_CASE("asking for nothing gives all of the only grant") {
  const auto grant = granted(ask(Sample{}, {}));
  CHECK(grant.audience == kLedger);
  CHECK(grant.scope == std::vector<std::string>{"invoices.read", "invoices.write"});
  CHECK(grant.lifetime == minutes(10));
  CHECK(grant.token_type == TokenType::dpop);
  CHECK(grant.binding == agents::Binding::process);
  CHECK(grant.custody == keystore::Custody::locked_memory);
  CHECK(grant.tier == agents::Tier::elevated);
  CHECK(grant.urls == std::vector<std::string>{"https://ledger.example.org/api/"});
  CHECK_THAT(agents::to_text(grant.steps), Contains("cell: autonomy medium with access app-write"));
  CHECK_THAT(agents::to_text(grant.steps), Contains("lifetime: the grant's max_lifetime -> 600s"));
}

TEST_CASE("with several grants a target must be named") {
  const Denial denial = denied(ask(two_grants(), {}));
  CHECK(denial.code == DenialCode::invalid_target);
  CHECK_THAT(denial.hint, Contains("'" + kLedger + "', '" + kMail + "'"));
  CHECK(granted(ask(two_grants(), for_audience(kMail))).audience == kMail);
}

TEST_CASE("an audience is compared as a string") {
  for (const char* audience : {"https://ledger.example.org", "https://LEDGER.example.org/",
                               "https://ledger.example.org:443/", "https://other.example/", ""}) {
    CAPTURE(audience);
    CHECK(denied(ask(Sample{}, for_audience(audience))).code == DenialCode::invalid_target);
  }
}

TEST_CASE("a token that was sent as audience or resource is neither answered nor recorded") {
  const std::string jwt = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
  const std::string spaced = "eyAiYWxnIjoiSFMyNTYifQ.e30.c2ln";  // { "alg"…
  const std::string on_a_line = "CnsiYWxnIjoiSFMyNTYifQ.e30.c2ln";
  for (const auto& sent : {jwt, "DPoP " + jwt, "Bearer  " + jwt, spaced, on_a_line}) {
    CAPTURE(sent);
    Ask by_resource;
    by_resource.resources = {sent};
    for (const Ask& mistaken : {for_audience(sent), by_resource}) {
      const Denial denial = denied(ask(Sample{}, mistaken));
      CHECK(denial.code == DenialCode::invalid_target);
      for (const auto& text : {denial.description, denial.reason, denial.hint})
        CHECK_THAT(text, !Contains("e30"));
    }
  }
  for (const char* name : {"api.example.org", "eyecare.example.org", "a.b.c", "urn:x", "ledger"}) {
    CAPTURE(name);
    CHECK_THAT(denied(ask(Sample{}, for_audience(name))).reason, Contains(name));
  }
}

TEST_CASE("a resource names a grant by its audience or by a URL of it") {
  Ask by_resource;
  by_resource.resources = {kMail};
  CHECK(granted(ask(two_grants(), by_resource)).audience == kMail);
  by_resource.resources = {"https://ledger.example.org/api/invoices/7"};
  CHECK(granted(ask(two_grants(), by_resource)).audience == kLedger);
  for (const char* resource : {"https://ledger.example.org/apis", "https://ledger.example.org/",
                               "https://evil.example/", "urn:x"}) {
    CAPTURE(resource);
    by_resource.resources = {resource};
    const bool is_audience = resource == kLedger;
    CHECK(std::holds_alternative<policy::Grant>(ask(two_grants(), by_resource)) == is_audience);
  }
}

TEST_CASE("audience and resource must agree, and one token has one target") {
  Ask both = for_audience(kLedger);
  both.resources = {"https://ledger.example.org/api/"};
  CHECK(granted(ask(two_grants(), both)).audience == kLedger);
  both.resources = {kMail};
  CHECK(denied(ask(two_grants(), both)).code == DenialCode::invalid_target);
  Ask two = for_audience(kLedger);
  two.audiences.push_back(kMail);
  CHECK(denied(ask(two_grants(), two)).code == DenialCode::invalid_target);
  Ask twice = for_audience(kLedger);
  twice.audiences.push_back(kLedger);
  CHECK(granted(ask(two_grants(), twice)).audience == kLedger);
}

TEST_CASE("refuses an agent that asks for more than its record, and never narrows in silence") {
  const Denial denial = denied(ask(Sample{}, with_scope({"invoices.read", "invoices.delete"})));
  CHECK(denial.code == DenialCode::invalid_scope);
  CHECK(denial.description == "not granted: scope 'invoices.delete'");
  CHECK(denial.hint == "granted here: invoices.read invoices.write");
  Ask elsewhere = with_scope({"invoices.read"});
  elsewhere.audiences = {kMail};
  CHECK(denied(ask(two_grants(), elsewhere)).code == DenialCode::invalid_scope);
  CHECK(denied(ask(Sample{}, with_scope({}))).code == DenialCode::invalid_scope);
  CHECK(denied(ask(Sample{}, with_scope({"Invoices.read"}))).code == DenialCode::invalid_scope);
}

TEST_CASE("a narrower scope is given, sorted and without doubles") {
  const auto grant =
      granted(ask(Sample{}, with_scope({"invoices.write", "invoices.read", "invoices.write"})));
  CHECK(grant.scope == std::vector<std::string>{"invoices.read", "invoices.write"});
  CHECK(granted(ask(Sample{}, with_scope({"invoices.read"}))).scope.size() == 1);
}

TEST_CASE("authorization_details need a type that the record lists") {
  Sample sample;
  Ask pay;
  pay.details = {{"payment", "{\"type\":\"payment\"}"}};
  CHECK(denied(ask(sample, pay)).code == DenialCode::invalid_authorization_details);
  sample.grants += "authorization_details_types = [\"payment\"]\n";
  const auto grant = granted(ask(sample, pay));
  REQUIRE(grant.details.size() == 1);
  CHECK(grant.details[0].json == "{\"type\":\"payment\"}");
  pay.details.push_back({"transfer", "{\"type\":\"transfer\"}"});
  CHECK(denied(ask(sample, pay)).code == DenialCode::invalid_authorization_details);
  Sample details_only;
  details_only.grants =
      "[[grant]]\naudience = \"a\"\nauthorization_details_types = [\"payment\"]\n";
  CHECK(denied(ask(details_only, {})).code == DenialCode::invalid_authorization_details);
}

TEST_CASE("no token lives longer than its tier, whatever its record says") {
  Sample sample = in_cell("low", "public-read");
  sample.grants = "[[grant]]\naudience = \"a\"\nmax_lifetime = \"24h\"\n";
  CHECK(granted(ask(sample, {})).lifetime == minutes(60));
  sample.autonomy = "high";
  CHECK(granted(ask(sample, {})).lifetime == minutes(15));
  sample.access = "admin";
  CHECK(granted(ask(sample, {})).lifetime == minutes(5));
  sample.grants = "[[grant]]\naudience = \"a\"\n";
  CHECK(granted(ask(sample, {})).lifetime == minutes(2));
  agents::TierLimitTable tighter;
  tighter.of(agents::Tier::high_assurance).max_lifetime = std::chrono::seconds(30);
  CHECK(granted(ask(sample, {}, good_standing(), tighter)).lifetime == std::chrono::seconds(30));
}

TEST_CASE("Bearer only where the grant says so and the tier allows it") {
  Sample sample = in_cell("low", "public-read");
  Ask bearer;
  bearer.token_type = TokenType::bearer;
  CHECK(granted(ask(sample, {})).token_type == TokenType::dpop);
  CHECK(denied(ask(sample, bearer)).code == DenialCode::invalid_request);
  sample.grants += "bearer = true\n";
  CHECK(granted(ask(sample, {})).token_type == TokenType::bearer);
  CHECK(granted(ask(sample, bearer)).token_type == TokenType::bearer);
  Ask dpop;
  dpop.token_type = TokenType::dpop;
  CHECK(granted(ask(sample, dpop)).token_type == TokenType::dpop);
  agents::TierLimitTable tighter;
  tighter.of(agents::Tier::baseline).bearer = false;
  CHECK(granted(ask(sample, {}, good_standing(), tighter)).token_type == TokenType::dpop);

  // A record that loading would have refused gets a bound token all the same.
  agents::Record forged = *record_of(Sample{});
  forged.grants[0].bearer = true;
  agents::TierLimitTable loose;
  loose.of(agents::Tier::elevated).bearer = true;
  const auto grant = granted(decide(forged, {}, good_standing(), loose));
  CHECK(grant.token_type == TokenType::dpop);
}

TEST_CASE("high-assurance keys are in the TPM or there is no token") {
  const Sample high = in_cell("high", "admin");
  CHECK(granted(ask(high, {})).custody == keystore::Custody::tpm);
  Standing software = good_standing();
  software.store_custody = keystore::Custody::software;
  software.software_accepted = true;
  CHECK(denied(ask(high, {}, software)).code == DenialCode::unauthorized_client);
  CHECK(granted(ask(Sample{}, {}, software)).custody == keystore::Custody::software);
  software.software_accepted = false;
  CHECK(denied(ask(Sample{}, {}, software)).code == DenialCode::temporarily_unavailable);
}

TEST_CASE("a TPM that is away stops high-assurance alone, a replaced one stops all") {
  const Sample high = in_cell("adaptive", "infrastructure");
  Sample adaptive = high;
  adaptive.top = "reassess_by = 2027-03-01\n";
  for (auto condition :
       {keystore::Condition::missing, keystore::Condition::starting, keystore::Condition::lockout,
        keystore::Condition::no_permission, keystore::Condition::failed}) {
    Standing away = good_standing();
    away.store_condition = condition;
    CHECK(denied(ask(adaptive, {}, away)).code == DenialCode::temporarily_unavailable);
    CHECK(granted(ask(Sample{}, {}, away)).custody == keystore::Custody::locked_memory);
  }
  Standing replaced = good_standing();
  replaced.store_condition = keystore::Condition::replaced;
  CHECK(denied(ask(Sample{}, {}, replaced)).code == DenialCode::temporarily_unavailable);
}

TEST_CASE("issuance pauses while the clock is not to be trusted") {
  Standing standing = good_standing();
  standing.clock_trustworthy = false;
  CHECK(denied(ask(Sample{}, {}, standing)).code == DenialCode::temporarily_unavailable);
}

TEST_CASE("a unit-bound record in a tier without it gets nothing") {
  Sample sample;
  sample.binding = "unit";
  agents::TierLimitTable tighter;
  tighter.of(agents::Tier::elevated).unit_binding = false;
  CHECK(denied(ask(sample, {}, good_standing(), tighter)).code == DenialCode::unauthorized_client);
  CHECK(granted(ask(sample, {})).binding == agents::Binding::unit);
}

TEST_CASE("a record without grants gets nothing") {
  Sample sample;
  sample.grants = "";
  CHECK(denied(ask(sample, {})).code == DenialCode::invalid_target);
  CHECK(denied(ask(sample, for_audience(kLedger))).code == DenialCode::invalid_target);
}

TEST_CASE("a denial shows what was asked in printable bytes only") {
  const Denial denial = denied(ask(Sample{}, for_audience("a\x1b[2J\n\"")));
  for (char c : denial.description + denial.reason + denial.hint) CHECK((c >= 0x20 && c < 0x7f));
}

TEST_CASE("the same question has the same answer") {
  const auto one = granted(ask(two_grants(), for_audience(kLedger)));
  const auto two = granted(ask(two_grants(), for_audience(kLedger)));
  CHECK(agents::to_text(one.steps) == agents::to_text(two.steps));
  CHECK(one.lifetime == two.lifetime);
}
