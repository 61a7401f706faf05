#include "attest/verifier/exit.h"

#include <boost/json/serialize.hpp>
#include <cstdio>

namespace badged::verifier {

using attest::Reason;

namespace {

Exit exit_of(Reason reason) {
  switch (reason) {
    case Reason::malformed:
    case Reason::too_large:
      return kMalformed;
    case Reason::replay_broken:
    case Reason::state_broken:
      return kUnusable;
    case Reason::replay_full:
    case Reason::busy:
      return kBusy;
    default:
      return kNo;
  }
}

const char* word(Exit exit) {
  switch (exit) {
    case kYes:
      return "good";
    case kNo:
      return "refused";
    case kUsage:
      return "usage";
    case kMalformed:
      return "malformed";
    case kUnusable:
      return "unusable";
    case kBusy:
      return "busy";
  }
  return "unknown";
}

}  // namespace

Outcome refusal(Exit exit, std::string error, std::string what, std::string hint,
                std::string reason) {
  Outcome outcome{exit, std::string(word(exit)) + ": " + what, {}};
  if (!reason.empty()) outcome.text += " [" + reason + "]";
  if (!hint.empty()) outcome.text += "\nhint: " + hint;
  outcome.json = {{"error", error},
                  {"error_description", what},
                  {"hint", hint},
                  {"correlation_id", nullptr}};  // nothing is recorded that it could lead to
  if (!reason.empty()) outcome.json["reason"] = reason;
  return outcome;
}

Outcome unreadable(const Error& error) {
  return refusal(kMalformed, "invalid_input", error.what, error.hint);
}

Outcome misused(std::string_view verb, std::string what) {
  return refusal(kUsage, "invalid_usage", std::move(what),
                 "see badge-verifier " + std::string(verb) + " --help");
}

Outcome rejected(std::string error, const attest::Rejection& rejection) {
  return refusal(exit_of(rejection.reason), std::move(error), rejection.what, rejection.hint,
                 to_string(rejection.reason));
}

int print(const Outcome& outcome, bool as_json) {
  const bool verdict = outcome.exit == kYes || outcome.exit == kNo;
  const std::string text = as_json ? boost::json::serialize(outcome.json) : outcome.text;
  std::FILE* out = as_json || verdict ? stdout : stderr;
  const bool written = std::fprintf(out, "%s\n", text.c_str()) >= 0 && std::fflush(out) == 0;
  return written ? outcome.exit : kUnusable;
}

}  // namespace badged::verifier
