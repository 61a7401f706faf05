// What may name whom a token or evidence is for: one rule for records and for every call.
#pragma once

#include <string>
#include <string_view>

namespace badged::agents {

// Printable ASCII without space, quote and backslash (RFC 6749 3.3): scopes, types, audiences.
bool is_printable_word(std::string_view text);

// A printable word of 1 to kMaxAudienceBytes that is no JWT: an access token that is sent where its
// audience belongs would be signed into the next token and stand in the audit log.
bool is_audience(std::string_view text);

// An audience or resource that was refused, for the answer and the record: in single quotes and
// cut, and nothing of it where it may be a token.
std::string quoted_target(std::string_view text);

}  // namespace badged::agents
