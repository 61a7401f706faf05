#include "attest/verifier/report.h"

#include <boost/json/array.hpp>

#include "attest/json/text.h"

namespace badged::verifier {

using attest::Finding;
using attest::Findings;
namespace json = boost::json;

namespace {

std::string_view word(Finding::Result result) {
  switch (result) {
    case Finding::Result::passed:
      return "pass";
    case Finding::Result::warning:
      return "warning";
    case Finding::Result::failed:
      return "fail";
  }
  return "unknown";
}

// Values may hold what a stranger chose: quoted where it is more than plain words.
std::string printable(std::string_view text) {
  return attest::has_unseen(text) ? attest::in_quotes(text) : std::string(text);
}

}  // namespace

void add_findings(json::object& out, const Findings& findings) {
  json::array checks, skipped;
  json::object because;
  for (const auto& finding : findings.done()) {
    json::object entry{{"check", finding.check}, {"result", word(finding.result)}};
    entry["value"] = finding.value;
    if (!finding.reason.empty()) entry["reason"] = finding.reason;
    checks.push_back(std::move(entry));
  }
  for (const auto& skip : findings.not_checked()) {
    skipped.emplace_back(skip.check);
    because[skip.check] = skip.reason;
  }
  out["checks"] = std::move(checks);
  out["not_checked"] = std::move(skipped);
  out["not_checked_because"] = std::move(because);
}

std::string describe(const Findings& findings) {
  std::string text;
  for (const auto& finding : findings.done()) {
    text.append("\n").append(word(finding.result)).append("  ").append(finding.check);
    if (!finding.value.empty()) text.append(": ").append(printable(finding.value));
    if (!finding.reason.empty()) text.append(" (").append(finding.reason).append(")");
  }
  for (const auto& skip : findings.not_checked())
    text.append("\nnot checked  ").append(printable(skip.check)).append(": ").append(skip.reason);
  return text;
}

Outcome rejected_with(const attest::Rejection& rejection, const Findings& findings) {
  Outcome outcome = rejected("invalid_evidence", rejection);
  outcome.text += describe(findings);
  add_findings(outcome.json, findings);
  return outcome;
}

}  // namespace badged::verifier
