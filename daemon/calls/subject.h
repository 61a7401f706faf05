// The subject of a token exchange: whose token it is, what it allows, and whether this process may
// act on it (RFC 8693 2.1, H7, H13).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "attest/jose/dpop.h"
#include "daemon/calls/issuing.h"
#include "daemon/calls/table.h"
#include "daemon/policy/exchange.h"
#include "daemon/tokens/mint.h"

namespace badged::calls {

struct SubjectAsk {
  std::string_view token, proof;                // proof: empty where none came
  std::optional<std::string_view> actor_token;  // of type access_token
};

// Everything about it holds.
struct Subject {
  policy::SubjectBounds bounds;
  std::optional<tokens::Delegation> delegation;  // absent: this agent's own token
  std::int64_t expires_at = 0;                   // the actor token's, where that is earlier
  std::string issuer;
  std::string jti_sha256;                   // base64url; of the token where it has no jti
  std::optional<SubjectStanding> standing;  // of a token of ours
  // That came along: good, and not yet taken. Take it before a token is made.
  std::optional<attest::VerifiedProof> proof;
};

// RFC 8693 2.2.2: an invalid subject or actor token, and one that policy does not accept, is
// `invalid_request`.
struct SubjectRefusal {
  policy::Side by = policy::Side::subject;
  std::string reason;  // for the audit: closed set, with dashes
  std::string description, hint;
};

// 400, with whose word it was.
boost::asio::awaitable<front::Response> refuse_subject(Context context, SubjectRefusal refused);

// A token of ours that was good and is no more; one that was good and expired before it was used.
SubjectRefusal subject_ended();
SubjectRefusal subject_expired();
// Its proof was taken before.
SubjectRefusal subject_proof_replayed();
bool has_ended(Service& service, const SubjectStanding& subject);

// Leaves no trace.
std::variant<Subject, SubjectRefusal> check_subject(const Context& context, const SubjectAsk& ask);

}  // namespace badged::calls
