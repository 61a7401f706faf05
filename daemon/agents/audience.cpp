#include "daemon/agents/audience.h"

#include <algorithm>

#include "daemon/agents/diagnostic.h"
#include "daemon/agents/limits.h"

namespace badged::agents {

// Base64url of `{"`: how each compact JWS and JWE begins (RFC 7515 3.1). No URL does, and of names
// only such as nobody gives.
static bool may_be_jwt(std::string_view text) {
  return text.starts_with("eyJ");
}

bool is_printable_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

bool is_audience(std::string_view text) {
  return !text.empty() && text.size() <= kMaxAudienceBytes && is_printable_word(text) &&
         !may_be_jwt(text);
}

std::string quoted_target(std::string_view text) {
  return may_be_jwt(text) ? "that looks like a token" : quoted(text);
}

}  // namespace badged::agents
