// What a token on somebody's behalf may carry: subject AND record AND request (H12), and who said
// no.
#include <catch2/catch.hpp>

#include "daemon/policy/exchange.h"
#include "tests/agents/samples.h"

using namespace badged;
using namespace badged::policy;
using agents::tests::Sample;
using std::chrono::seconds;
using Words = std::vector<std::string>;

namespace {

const std::string kLedger = "https://ledger.example.org/";

Standing good_standing() {
  return {.store_custody = keystore::Custody::tpm,
          .store_condition = keystore::Condition::ready,
          .store_message = {},
          .store_hint = {},
          .software_accepted = false,
          .clock_trustworthy = true};
}

SubjectBounds subject(Words scope) {
  SubjectBounds bounds;
  bounds.scope = std::move(scope);
  bounds.lifetime = seconds(3600);
  return bounds;
}

ExchangeAsk with_scope(Words scope) {
  ExchangeAsk ask;
  ask.ask.scope = std::move(scope);
  ask.ask.scope_given = true;
  return ask;
}

AuthorizationDetail payment(int amount) {
  return {"payment", R"({"amount":)" + std::to_string(amount) + R"(,"type":"payment"})"};
}

Sample with_payments() {
  Sample sample;
  sample.grants += "authorization_details_types = [\"payment\"]\n";
  return sample;
}

ExchangeDecision decided(const ExchangeAsk& ask, const SubjectBounds& bounds,
                         const Sample& sample = {}, const Standing& standing = good_standing()) {
  const auto report = agents::tests::load(sample);
  INFO(agents::tests::all_of(report.problems));
  REQUIRE(report.clean());
  return decide_exchange(*report.good->find(sample.name), ask, standing, {}, bounds);
}

ExchangeGrant granted(const ExchangeDecision& decision) {
  if (const auto* denied = std::get_if<ExchangeDenial>(&decision)) {
    INFO(to_string(denied->denial.code) << ": " << denied->denial.description);
    REQUIRE(std::holds_alternative<ExchangeGrant>(decision));
  }
  return std::get<ExchangeGrant>(decision);
}

void check_denied(const ExchangeDecision& decision, Side by, DenialCode code) {
  REQUIRE(std::holds_alternative<ExchangeDenial>(decision));
  const auto& denied = std::get<ExchangeDenial>(decision);
  CHECK(to_string(denied.by) == to_string(by));
  CHECK(to_string(denied.denial.code) == to_string(code));
  CHECK_FALSE(denied.denial.description.empty());
}

Words narrowed_by(const ExchangeGrant& grant, std::string_view member) {
  Words sides;
  for (const auto& step : grant.narrowed) {
    CHECK_FALSE(step.reason.empty());
    if (step.member == member) sides.emplace_back(to_string(step.by));
  }
  return sides;
}

}  // namespace

TEST_CASE("an exchange without a scope gives what subject and record share") {
  const auto out = granted(decided({}, subject({"invoices.read", "mail.send"})));
  CHECK(out.grant.scope == Words{"invoices.read"});
  CHECK(out.grant.token_type == TokenType::dpop);
  CHECK(narrowed_by(out, "scope") == Words{"record", "subject"});
}

TEST_CASE("an exchange never gives a scope that one of the three lacks") {
  check_denied(decided(with_scope({"invoices.write"}), subject({"invoices.read"})), Side::subject,
               DenialCode::invalid_scope);
  check_denied(decided(with_scope({"mail.send"}), subject({"mail.send"})), Side::record,
               DenialCode::invalid_scope);
  check_denied(decided(with_scope({}), subject({"invoices.read"})), Side::request,
               DenialCode::invalid_scope);
  const auto out =
      granted(decided(with_scope({"invoices.read"}), subject({"invoices.read", "invoices.write"})));
  CHECK(out.grant.scope == Words{"invoices.read"});
  CHECK(narrowed_by(out, "scope") == Words{"request"});
}

TEST_CASE("an exchange that leaves nothing is a denial") {
  check_denied(decided({}, subject({})), Side::subject, DenialCode::invalid_scope);
  check_denied(decided({}, subject({"mail.send"})), Side::record, DenialCode::invalid_scope);
}

TEST_CASE("details of an exchange are some of the subject's, unchanged") {
  auto bounds = subject({});
  bounds.details = {payment(1), payment(2), {"letter", R"({"type":"letter"})"}};
  const auto all = granted(decided({}, bounds, with_payments()));
  CHECK(all.grant.details.size() == 2);
  CHECK(narrowed_by(all, "authorization_details") == Words{"record"});

  ExchangeAsk one;
  one.ask.details = {payment(2)};
  const auto some = granted(decided(one, bounds, with_payments()));
  CHECK(some.grant.details.size() == 1);
  CHECK(some.grant.details.front().json == payment(2).json);

  ExchangeAsk more;
  more.ask.details = {payment(3)};
  check_denied(decided(more, bounds, with_payments()), Side::subject,
               DenialCode::invalid_authorization_details);
  check_denied(decided(one, bounds), Side::record, DenialCode::invalid_authorization_details);
}

TEST_CASE("an exchanged token lives no longer than the shortest of the three") {
  auto bounds = subject({"invoices.read"});
  const auto by_record = granted(decided({}, bounds));
  CHECK(by_record.grant.lifetime == seconds(600));
  CHECK(narrowed_by(by_record, "lifetime") == Words{"record"});
  bounds.lifetime = seconds(30);
  const auto by_subject = granted(decided({}, bounds));
  CHECK(by_subject.grant.lifetime == seconds(30));
  CHECK(narrowed_by(by_subject, "lifetime") == Words{"subject"});
  ExchangeAsk brief;
  brief.lifetime = seconds(5);
  CHECK(granted(decided(brief, bounds)).grant.lifetime == seconds(5));
  brief.lifetime = seconds(86400);
  CHECK(granted(decided(brief, bounds)).grant.lifetime == seconds(30));
  bounds.lifetime = seconds(3600);
  brief.lifetime = seconds(3000);
  CHECK(narrowed_by(granted(decided(brief, bounds)), "lifetime") == Words{"record"});
  brief.lifetime = seconds(600);
  CHECK(narrowed_by(granted(decided(brief, bounds)), "lifetime") == Words{"request"});
}

TEST_CASE("a token for a resource is exchanged for that resource alone") {
  auto bounds = subject({"invoices.read", "mail.send"});
  bounds.audience = kLedger;
  Sample two;
  two.grants += "[[grant]]\naudience = \"https://mail.example.org/\"\nscope = [\"mail.send\"]\n";
  CHECK(granted(decided({}, bounds, two)).grant.audience == kLedger);
  ExchangeAsk other;
  other.ask.audiences = {"https://mail.example.org/"};
  check_denied(decided(other, bounds, two), Side::subject, DenialCode::invalid_target);
  bounds.audience = "https://elsewhere.example.org/";
  check_denied(decided({}, bounds, two), Side::record, DenialCode::invalid_target);
}

TEST_CASE("an exchange says when target or token type were the request's fault") {
  Sample two;
  two.grants += "[[grant]]\naudience = \"https://mail.example.org/\"\nscope = [\"mail.send\"]\n";
  check_denied(decided({}, subject({"invoices.read"}), two), Side::request,
               DenialCode::invalid_target);
  ExchangeAsk bearer;
  bearer.ask.token_type = TokenType::bearer;
  check_denied(decided(bearer, subject({"invoices.read"})), Side::request,
               DenialCode::invalid_request);
  auto standing = good_standing();
  standing.clock_trustworthy = false;
  check_denied(decided({}, subject({"invoices.read"}), {}, standing), Side::host,
               DenialCode::temporarily_unavailable);
}

TEST_CASE("a record lists the issuers that its agent acts for") {
  Sample sample;
  sample.top = "act_for = [\"https://b.example\", \"https://a.example\", \"https://b.example\"]\n";
  CHECK(agents::tests::load(sample).good->find(sample.name)->act_for ==
        Words{"https://a.example", "https://b.example"});
  for (const char* bad : {"act_for = \"https://a.example\"\n", "act_for = [\"http://a.example\"]\n",
                          "act_for = [\"https://a b\"]\n", "act_for = [7]\n"}) {
    sample.top = bad;
    INFO(bad);
    CHECK(agents::tests::only_error(sample).at.line == 11);
  }
}
