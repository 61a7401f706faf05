// What the two grants of POST /v1/token share: reading what was asked, and issuing what was
// decided.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "daemon/calls/recording.h"
#include "daemon/calls/table.h"
#include "daemon/policy/decision.h"
#include "daemon/tokens/mint.h"

namespace badged::calls {

// How to look again at a subject token that this host issued.
struct SubjectStanding {
  std::uint32_t status_index = 0;
  std::string session;
};

// What sets an exchanged token apart from an agent's own.
struct Exchanged {
  std::optional<tokens::Delegation> delegation;  // absent: the agent's own token, narrowed
  std::int64_t not_after = 0;  // Unix time; `exp` of what it came from, the earliest of them
  std::string answer_members;  // JSON members of the answer, each after a comma
  std::string subject_issuer;  // for the audit
  std::string subject_jti_sha256;
  std::optional<SubjectStanding> subject;  // where it is a token of ours
};

Result<policy::Ask> read_ask(const front::Request& request);
policy::Standing standing_of(Service& service);

// One more new token of this agent within its tier's limit; else the refusal.
std::optional<Problem> token_rate(const Context& context);

// The caller's session, opened where there is none or the tier wants another kind of key.
boost::asio::awaitable<Result<tokens::SessionPtr>> session_for(Context context,
                                                               keystore::Custody custody);

// Signs, records, answers. A token that came of an exchange is not kept to be answered again: what
// it came from may be gone by then.
boost::asio::awaitable<front::Response> issue(Context context, policy::Grant grant,
                                              tokens::SessionPtr session,
                                              std::optional<Exchanged> exchanged);

// The members of `head`, `expires_in` and the end of the object.
front::Response token_answer(const Context& context, const std::string& head,
                             std::int64_t expires_in);

// Why a token cannot be made now: to the journal whole, to the caller as temporarily_unavailable.
boost::asio::awaitable<front::Response> not_now(Context context, Error error);

// grant_type=urn:ietf:params:oauth:grant-type:token-exchange (RFC 8693).
constexpr std::string_view kTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange";
boost::asio::awaitable<front::Response> exchange(Context context);

}  // namespace badged::calls
