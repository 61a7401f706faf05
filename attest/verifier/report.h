// Findings, for programs and for people.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "attest/findings.h"
#include "attest/verifier/exit.h"

namespace badged::verifier {

// Adds `checks`: [{check, result, value, reason?}], `not_checked`: names, and
// `not_checked_because`: {name: why}.
void add_findings(boost::json::object& out, const attest::Findings& findings);

// One line per check ("pass  nonce: 00112233"), then what was not checked.
std::string describe(const attest::Findings& findings);

// A rejection with what was found until then: both the shape of every refusal and the checks.
Outcome rejected_with(const attest::Rejection& rejection, const attest::Findings& findings);

}  // namespace badged::verifier
