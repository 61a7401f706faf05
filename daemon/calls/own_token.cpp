#include "daemon/calls/own_token.h"

#include "attest/jose/base64url.h"
#include "attest/jose/status_list.h"
#include "daemon/calls/recording.h"

namespace badged::calls {

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

}  // namespace badged::calls
