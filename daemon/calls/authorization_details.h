// RFC 9396 authorization_details: an array of objects, each with a `type`.
#pragma once

#include <string_view>
#include <vector>

#include "daemon/policy/decision.h"

namespace badged::calls {

// Each detail is kept in one form, so that the same request gets the same token: no white space,
// members sorted by the bytes of their names (UTF-8), strings with the fewest escapes and control
// characters as \u00xx, integers of 64 bits in decimal. Other numbers are refused: how a fraction
// is written differs between implementations. That is not RFC 8785 (JCS), which sorts by UTF-16
// units, writes some control characters in short and takes every number for a double; nobody but
// badged compares these texts. Errc::refused for JSON that is no such array and for text that is no
// JSON.
Result<std::vector<policy::AuthorizationDetail>> parse_authorization_details(std::string_view text);

}  // namespace badged::calls
