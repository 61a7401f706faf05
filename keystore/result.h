// The one way an expected failure travels: Result<T> holds a value or an Error.
//
// Denied, malformed, busy, unreachable are Results. Bugs and failures at start-up throw. Libraries
// return, only the programs log. An Error is copied into answers to strangers by its code alone;
// `what` and `hint` go to the journal and to admins. Neither ever holds a secret.
#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace badged {

// A small closed set. What a caller does about a failure depends on the code alone.
enum class Errc {
  malformed,    // the input is not what it claims to be
  refused,      // well formed, and the answer is no
  not_found,    // names nothing we know
  busy,         // try again later: a queue is full or a device is occupied
  unavailable,  // a device, file or service cannot be reached or used now
  changed,      // it is not what it was when we first saw it (a TPM, a process, a file)
  exhausted,    // a limit of ours was reached
  internal,     // a library failed in a way that no input explains
};

constexpr const char* to_string(Errc code) {
  switch (code) {
    case Errc::malformed:
      return "malformed";
    case Errc::refused:
      return "refused";
    case Errc::not_found:
      return "not found";
    case Errc::busy:
      return "busy";
    case Errc::unavailable:
      return "unavailable";
    case Errc::changed:
      return "changed";
    case Errc::exhausted:
      return "exhausted";
    case Errc::internal:
      return "internal";
  }
  return "unknown";
}

struct Error {
  Errc code = Errc::internal;
  std::string what;  // what we were doing and what went wrong: "load the signing key: no such file"
  std::string hint;  // what an admin can do next; may be empty
};

// Lets `result.value()` throw when a failure is a bug or happens at start-up.
struct ErrorException : std::runtime_error {
  explicit ErrorException(Error e) : std::runtime_error(e.what), error(std::move(e)) {}
  Error error;
};

[[noreturn]] inline void throw_exception_from_error(const Error& e, const boost::source_location&) {
  throw ErrorException(e);
}

template <class T>
using Result = boost::system::result<T, Error>;

// Result<void> success, readable at the call site.
inline Result<void> ok() {
  return {};
}

inline Error fail(Errc code, std::string what, std::string hint = {}) {
  return Error{code, std::move(what), std::move(hint)};
}

}  // namespace badged
