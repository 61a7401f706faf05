// How badge-verifier ends: the exit codes of every program of ours, and what it prints.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "attest/reason.h"

namespace badged::verifier {

enum Exit : int { kYes = 0, kNo = 1, kUsage = 2, kMalformed = 3, kUnusable = 4, kBusy = 5 };

// What a verb found. Printed once, by main's caller: exactly one JSON object under --json.
struct Outcome {
  Exit exit = kYes;
  std::string text;  // for people; one or more lines without a last newline
  boost::json::object json;
};

// A refusal, as every program of ours prints one: error, error_description, hint, correlation_id,
// and the verifier's `reason` where there is one.
Outcome refusal(Exit exit, std::string error, std::string what, std::string hint = {},
                std::string reason = {});

// What cannot be read, and what is asked for wrongly of `verb`.
Outcome unreadable(const Error& error);
Outcome misused(std::string_view verb, std::string what);

// A check's rejection. `error` is the OAuth code that a resource server would answer with.
Outcome rejected(std::string error, const attest::Rejection& rejection);

// Verdicts (yes and no) go to standard output, all else to standard error; JSON always to standard
// output.
int print(const Outcome& outcome, bool as_json);

}  // namespace badged::verifier
