// What a token on somebody's behalf may carry: subject AND record AND request (RFC 8693, H12).
//
// A pure function, like decide(), which it stands on: decide() says what record and request allow,
// and the subject narrows that further. Every step that took something away is kept, with whose it
// was.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/policy/decision.h"

namespace badged::policy {

// Whose word it was. `host`: the key store or the clock, none of the three.
enum class Side { subject, record, request, host };
std::string_view to_string(Side side);  // "subject", ...

// What the subject token allows at most. Its signature, issuer and times have been checked.
struct SubjectBounds {
  std::optional<std::string> audience;  // a token of ours for a resource: for no other one
  std::vector<std::string> scope;
  std::vector<AuthorizationDetail> details;  // canonical, as the request's
  std::chrono::seconds lifetime{};           // that remains of it, and of an actor token
};

struct ExchangeAsk {
  Ask ask;
  std::optional<std::chrono::seconds> lifetime;  // `expires_in` of the form: only ever shortens
};

struct Narrowing {
  std::string_view member;  // "audience", "scope", "authorization_details", "lifetime"
  Side by = Side::record;
  std::string reason;
};

struct ExchangeGrant {
  Grant grant;
  std::vector<Narrowing> narrowed;
};

struct ExchangeDenial {
  Denial denial;
  Side by = Side::record;
};

using ExchangeDecision = std::variant<ExchangeGrant, ExchangeDenial>;

// Scope: one that is asked for must be the record's and the subject's; none asked is what both
// have. A subject without scope gives none. Details: each that is asked for must be one of the
// subject's, equal in the one form that calls/authorization_details.h keeps them in; none asked is
// what the subject has of the record's types. Neither scope nor details left: a denial. The token
// is always DPoP-bound: a bearer token would be an unbound copy.
ExchangeDecision decide_exchange(const agents::Record& record, const ExchangeAsk& ask,
                                 const Standing& standing, const agents::TierLimitTable& limits,
                                 const SubjectBounds& subject);

}  // namespace badged::policy
