#include "daemon/agents/audience.h"

#include <algorithm>

#include "attest/jose/base64url.h"
#include "daemon/agents/diagnostic.h"
#include "daemon/agents/limits.h"

namespace badged::agents {
namespace {

// A compact JWS or JWE begins with a JSON object in base64url and a dot (RFC 7515 3.1); `{"` is
// `eyJ` there. No URL does, nor a name such as people give.
bool is_jwt(std::string_view word) {
  if (word.starts_with("eyJ")) return true;
  const auto dot = word.find('.');
  if (dot == std::string_view::npos) return false;
  const auto header = attest::decode_base64url(word.substr(0, dot), dot);
  if (!header) return false;
  const auto first = as_text(*header).find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (*header)[first] == '{';
}

// Also behind a scheme, as it is pasted from an Authorization header.
bool holds_jwt(std::string_view text) {
  while (!text.empty()) {
    const auto space = std::min(text.find(' '), text.size());
    if (is_jwt(text.substr(0, space))) return true;
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return false;
}

}  // namespace

bool is_printable_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

bool is_audience(std::string_view text) {
  return !text.empty() && text.size() <= kMaxAudienceBytes && is_printable_word(text) &&
         !holds_jwt(text);
}

std::string quoted_target(std::string_view text) {
  return holds_jwt(text) ? "that looks like a token" : quoted(text);
}

}  // namespace badged::agents
