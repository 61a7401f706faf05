// SPIFFE IDs that strangers write (SPIFFE-ID 2): by which trust domain a name is.
#pragma once

#include <optional>
#include <string_view>

namespace badged::tokens {

// Whether somebody may take it for one: it begins with "spiffe:", in whatever case.
bool looks_like_spiffe_id(std::string_view text);

// The trust domain of a SPIFFE ID, a view into it. nullopt where it is none: another scheme or one
// in upper case, user information, a port, a query, escapes, characters other than a-z 0-9 . - _
// (and A-Z in the path), segments that are empty or of dots, more than 2048 bytes. Stricter than
// the standard: no empty label in the trust domain, since "example.org." is "example.org" to DNS.
std::optional<std::string_view> trust_domain_of(std::string_view id);

}  // namespace badged::tokens
