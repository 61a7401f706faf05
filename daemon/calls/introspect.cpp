// POST /v1/introspect (RFC 7662): is this token good now?
#include <boost/json.hpp>

#include "daemon/calls/own_token.h"
#include "daemon/calls/recording.h"

namespace badged::calls {

using boost::asio::awaitable;

namespace {

// 2.2: nothing but this, whatever the reason, so that nobody learns of others' tokens.
front::Response inactive(const Context& context) {
  return answer(R"({"active":false})", context.exchange.correlation_id);
}

front::Response describe(const Context& context, OwnToken own) {
  boost::json::object out{{"active", true}};
  out["token_type"] = own.token.bound() ? "DPoP" : "Bearer";
  for (auto& [name, value] : own.token.claims) out[name] = std::move(value);
  return answer(boost::json::serialize(out), context.exchange.correlation_id);
}

}  // namespace

awaitable<front::Response> introspect(Context context) {
  if (!takes_question(context)) {
    const Problem refusal{429, "temporarily_unavailable", "this agent asks about tokens too often",
                          "a token is good until it expires or a server refuses it", 1};
    co_return co_await deny(context, "denial", "question-rate", "too many questions", refusal);
  }
  auto found = find_own_token(context.service, *context.exchange.request.get("token"));
  if (!found) co_return problem(unavailable(found.error()), context.exchange.correlation_id);
  auto& own = *found;
  if (!own || own->place.authority->agent != context.caller->record->name ||
      !is_active(context.service, own->token, own->place))
    co_return inactive(context);
  co_return describe(context, std::move(*own));
}

awaitable<front::Response> introspect_any(Context context) {
  auto found = find_own_token(context.service, *context.exchange.request.get("token"));
  if (!found) co_return problem(unavailable(found.error()), context.exchange.correlation_id);
  auto& own = *found;
  if (!own || !is_active(context.service, own->token, own->place)) co_return inactive(context);
  co_return describe(context, std::move(*own));
}

}  // namespace badged::calls
