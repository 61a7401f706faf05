// The fields of a call out of a form, a query string or a JSON object, by the call's shape.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "daemon/front/request.h"

namespace badged::front {

// Appends the known fields to `out`. Empty values count as absent (RFC 6749 3.1). Values hold no
// control characters: none of our fields has any, and they reach logs.
std::optional<BadRequest> read_fields(const CallShape& call, std::string_view content_type,
                                      std::string_view text, std::vector<Field>& out);

}  // namespace badged::front
