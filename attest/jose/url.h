// URLs as DPoP compares them: RFC 3986 6.2.2 and 6.2.3, for http and https.
#pragma once

#include <string>
#include <string_view>

#include "keystore/result.h"

namespace badged::attest {

// Scheme, authority and path in normal form: lower-case scheme and host, default port dropped,
// unreserved characters decoded and other escapes in upper case, dot segments removed, "" as "/".
// Query and fragment are dropped (htu has neither). The path stays case-sensitive, %2F stays an
// escape. Refused: user information, another scheme, a host that is not ASCII, bad escapes, bad
// ports, more than kUrlBytes.
Result<std::string> normalise_htu(std::string_view url);

// Both in normal form: same origin, and `base`'s path is a prefix of whole segments. Also false for
// a path that some servers would resolve out of `base` after decoding it ("..%2f", "..;").
bool lies_under(std::string_view normalised_url, std::string_view normalised_base);

}  // namespace badged::attest
