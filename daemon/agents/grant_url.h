// Where proofs may go: the URLs of a grant, normalised once, and what lies under them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "keystore/result.h"

namespace badged::agents {

// `text` normalised, without query, fragment and user. https, or http to this host alone
// (127.0.0.0/8, [::1], localhost): a token in the clear on a network is everybody's.
Result<std::string> grant_url(std::string_view text);

// Does `url` (normalised here) lie under one of `bases` (from grant_url)? Same origin, and the
// base's path is a prefix of whole segments: "/api/" and "/api" hold "/api/x", not "/apis".
bool lies_under(std::span<const std::string> bases, std::string_view url);

}  // namespace badged::agents
