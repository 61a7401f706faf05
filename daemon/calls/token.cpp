// POST /v1/token: RFC 6749 4.4 (client_credentials). The client authenticates by being the process.
#include "daemon/calls/issuing.h"

namespace badged::calls {

using boost::asio::awaitable;

namespace {

// The same token again, while enough of its life remains.
std::optional<front::Response> cached_answer(const Context& context, const policy::Grant& grant) {
  auto& service = context.service;
  const auto session = service.sessions.find(*context.exchange.process, *context.caller->record);
  if (session == nullptr || session->custody() != grant.custody ||
      context.exchange.request.no_cache)
    return std::nullopt;
  const auto now = unix_now();
  const auto* cached = session->cached(tokens::cache_key(grant), now);
  if (cached == nullptr || service.revocations.revoked(cached->status_index)) return std::nullopt;
  ++service.recorder.use(session->id(), session->agent()).cached_tokens;
  return token_answer(context, cached->body_head, cached->expires_at - now);
}

// While the TPM is away nothing is signed, but what it signed before is as good as it was. Of a TPM
// that was replaced nothing is handed out.
std::optional<front::Response> cached_while_away(const Context& context, const policy::Ask& ask,
                                                 policy::Standing standing) {
  using keystore::Condition;
  if (standing.store_condition == Condition::ready ||
      standing.store_condition == Condition::replaced)
    return std::nullopt;
  standing.store_condition = Condition::ready;
  const auto decision =
      policy::decide(*context.caller->record, ask, standing, context.service.policy.rules.limits);
  const auto* grant = std::get_if<policy::Grant>(&decision);
  return grant == nullptr ? std::nullopt : cached_answer(context, *grant);
}

}  // namespace

awaitable<front::Response> token(Context context) {
  auto& service = context.service;
  const auto& request = context.exchange.request;
  if (*request.get("grant_type") == kTokenExchange) co_return co_await exchange(context);
  if (*request.get("grant_type") != "client_credentials") {
    const Problem refusal{
        400, "unsupported_grant_type", "only client_credentials and token-exchange are served", {}};
    co_return co_await deny(context, "denial", refusal.code, "another grant_type", refusal);
  }
  const auto ask = read_ask(request);
  if (!ask) {
    const bool details = ask.error().code == Errc::refused;
    const Problem refusal{400, details ? "invalid_authorization_details" : "invalid_request",
                          ask.error().what, ask.error().hint};
    co_return co_await deny(context, "denial", refusal.code, ask.error().what, refusal);
  }
  const auto standing = standing_of(service);
  auto decision =
      policy::decide(*context.caller->record, *ask, standing, service.policy.rules.limits);
  if (const auto* denial = std::get_if<policy::Denial>(&decision)) {
    if (auto again = cached_while_away(context, *ask, standing)) co_return std::move(*again);
    const Problem refusal{status_of(denial->code), policy::to_string(denial->code),
                          denial->description, denial->hint, 0};
    co_return co_await deny(context, "denial", refusal.code, denial->reason, refusal);
  }
  auto& grant = std::get<policy::Grant>(decision);
  if (auto again = cached_answer(context, grant)) co_return std::move(*again);
  // Before a key is made for it: an agent that asks too often costs the TPM nothing.
  if (const auto refusal = token_rate(context))
    co_return co_await deny(context, "denial", "token-rate", "new tokens too often", *refusal);
  auto opened = co_await session_for(context, grant.custody);
  if (!opened) co_return co_await not_now(context, opened.error());
  std::optional<Exchanged> none;  // named: GCC 12 and temporaries in a co_await expression
  co_return co_await issue(context, std::move(grant), std::move(*opened), std::move(none));
}

}  // namespace badged::calls
