// What a verb of badgectl ends with: an answer to print, or a failure with its exit code.
//
// Results go to standard output, everything else to standard error. With --json exactly one JSON
// object goes to standard output, for a refusal {"error","error_description","hint",
// "correlation_id"}. Text that came from elsewhere is made harmless for a terminal before printing.
#pragma once

#include <boost/json.hpp>
#include <boost/system/result.hpp>
#include <string>
#include <string_view>

#include "keystore/result.h"

namespace badged::ctl {

// The exit codes of all programs of the project (docs/protocol.md).
enum class Exit { yes = 0, no = 1, usage = 2, malformed = 3, unreachable = 4, busy = 5 };

struct Failure {
  Exit exit = Exit::no;
  std::string error;        // a short code: the daemon's own, or one of ours
  std::string description;  // what we were doing and what went wrong
  std::string hint;         // what to do next; may be empty
  std::string correlation_id;
  boost::json::object details = {};  // further members of the answer, e.g. "problems"
};

struct Answer {
  boost::json::object json;
  std::string text;       // for people; a final newline is added where it is missing
  Exit exit = Exit::yes;  // a verdict can be "no" and still be an answer
  bool printed = false;   // the verb wrote its result itself (curl's body, exec's command)
  int exit_status = -1;   // >= 0: overrides `exit` (exec: the command's own)
};

// An answer that is a "no": the members of a refusal stand in its JSON, beside what it found.
Answer verdict_no(boost::json::object json, std::string text, std::string_view error,
                  std::string_view description, std::string_view hint);

[[noreturn]] inline void throw_exception_from_error(const Failure& f,
                                                    const boost::source_location&) {
  throw std::runtime_error(f.description);
}

using Outcome = boost::system::result<Answer, Failure>;
template <class T>
using Attempt = boost::system::result<T, Failure>;

// Library errors in badgectl's words. The exit code follows from the code alone.
Failure to_failure(const Error& error);

// Prints and returns the process's exit status.
int finish(const Outcome& outcome, bool json);

// `text` without control characters, escape sequences and invalid UTF-8: each such byte is "?".
// Keeps line feeds where asked.
std::string printable(std::string_view text, bool keep_newlines = false);
bool is_utf8(std::string_view text);

// Members of answers, tolerant of absence: badged may be newer or older than badgectl.
std::string text_at(const boost::json::object& object, std::string_view name);
// "8 tokens" or "1 token" of a member named `tokens`.
std::string counted(const boost::json::object& object, std::string_view name);
const boost::json::object* object_at(const boost::json::object& object, std::string_view name);
const boost::json::array* array_at(const boost::json::object& object, std::string_view name);
// A scalar as people read it; arrays of scalars joined by spaces; "" for null.
std::string plain(const boost::json::value& value);

}  // namespace badged::ctl
