// Refusals as callers see them: the RFCs' codes, a sentence, what to do, and the id under which the
// journal has the rest.
#pragma once

#include <string>
#include <string_view>

#include "daemon/front/http.h"
#include "daemon/policy/decision.h"
#include "keystore/result.h"

namespace badged::calls {

struct Problem {
  int status = 400;
  std::string_view code;
  std::string description;
  std::string hint;     // may be empty
  int retry_after = 0;  // seconds
  // Of a token exchange: "subject", "record", "request" or "host"; else empty.
  std::string_view refused_by = {};
};

// {"error","error_description","hint","correlation_id"}, Cache-Control: no-store.
front::Response problem(const Problem& problem, const std::string& correlation_id);

// A 200 with a JSON body that must not be stored (RFC 6749 5.1).
front::Response answer(std::string body, const std::string& correlation_id);

// Something of ours does not work now: temporarily_unavailable, with Retry-After only where we are
// merely busy (nobody knows when a TPM comes back). The error's text goes to the journal, not to
// the caller.
Problem unavailable(const Error& error);

int status_of(policy::DenialCode code);

}  // namespace badged::calls
