// POST /v1/introspect (RFC 7662): is this token good now?
#include <boost/json.hpp>

#include "attest/jose/base64url.h"
#include "attest/jose/status_list.h"
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

Result<std::optional<OwnToken>> find_own_token(Service& service, std::string_view compact) {
  const auto* verifier = service.publisher.verifier();
  if (verifier == nullptr) return fail(Errc::unavailable, "check a token: no key is published yet");
  auto verified = verifier->verify_as_issuer(compact, service.host.issuer, unix_now());
  if (!verified) return std::optional<OwnToken>();
  const auto place = place_of(service, *verified);
  if (!place) return std::optional<OwnToken>();
  return std::optional<OwnToken>(OwnToken{std::move(*verified), *place});
}

std::optional<tokens::Ledger::Token> place_of(Service& service,
                                              const attest::VerifiedToken& token) {
  if (!token.badged) return std::nullopt;
  const auto status = attest::status_reference(token.claims);
  tokens::Jti jti{};
  if (!status || !*status || (*status)->uri != service.revocations.uri() ||
      !attest::decode_base64url(token.jti, jti))
    return std::nullopt;
  constexpr std::uint64_t kPlaces =
      std::uint64_t{tokens::limits::kStatusBlock} * tokens::limits::kStatusBlocks;
  if ((*status)->index >= kPlaces) return std::nullopt;
  return service.revocations.ledger().at(static_cast<std::uint32_t>((*status)->index), jti,
                                         unix_now());
}

bool is_active(Service& service, const attest::VerifiedToken& token,
               const tokens::Ledger::Token& place) {
  if (place.revoked) return false;
  const auto epoch = service.epochs.of(place.authority->agent);
  if (!epoch || token.badged->epoch < *epoch) return false;
  return service.sessions.find(place.authority->session) != nullptr;
}

bool takes_question(const Context& context) {
  const auto& record = *context.caller->record;
  const auto& limits = context.service.policy.rules.limits.of(record.tier());
  auto& bucket = context.service.question_rates[record.name];
  return bucket.take(limits.proofs, tokens::RateBucket::Clock::now());
}

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
