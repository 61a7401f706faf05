// RFC 9396 authorization_details: an array of objects, each with a `type`.
#pragma once

#include <string_view>
#include <vector>

#include "daemon/policy/decision.h"

namespace badged::calls {

// Each detail is kept as canonical JSON (RFC 8785: members sorted), so that the same request gets
// the same token. Errc::refused for JSON that is no such array, Errc::malformed for text that is no
// JSON. Numbers must be integers: how a fraction is written differs between implementations.
Result<std::vector<policy::AuthorizationDetail>> parse_authorization_details(std::string_view text);

}  // namespace badged::calls
