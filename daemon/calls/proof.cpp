// POST /v1/proof: a DPoP proof (RFC 9449 4.2) for one method and one URL, by the session's key. The
// only thing that key ever signs.
#include <algorithm>
#include <limits>

#include "attest/jose/base64url.h"
#include "attest/jose/dpop.h"
#include "attest/jose/status_list.h"
#include "attest/jose/url.h"
#include "attest/limits.h"
#include "daemon/calls/recording.h"
#include "daemon/calls/table.h"
#include "daemon/tokens/await_signature.h"
#include "keystore/random.h"
#include "keystore/sha256.h"

namespace badged::calls {
namespace {

using boost::asio::awaitable;

// RFC 9110 9.1: compared as it is, so its case is the caller's matter. Of the characters that a
// token may have, those of registered methods, and _.
bool is_method(std::string_view text) {
  return !text.empty() && text.size() <= attest::kMethodBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
         });
}

struct Refusal {
  std::string reason;
  Problem answer;
};

Refusal invalid_token(std::string reason, std::string description) {
  return {std::move(reason),
          {401, "invalid_token", std::move(description),
           "ask /v1/token for a new token from this process, then for the proof again"}};
}

// A token that this session does not remember, checked as a verifier would.
Result<tokens::KnownToken> verify_own(Service& service, const agents::Record& record,
                                      const tokens::Session& session, std::string_view token) {
  const auto* verifier = service.publisher.verifier();
  if (verifier == nullptr) return fail(Errc::unavailable, "verify a token: no key is published");
  // Once, however many grants there are: a signature costs more than all else here.
  const auto verified = verifier->verify_as_issuer(token, service.host.issuer, unix_now());
  if (!verified) return fail(Errc::refused, verified.error().what);
  if (verified->jkt != session.jkt() || !verified->badged ||
      verified->badged->session != session.id())
    return fail(Errc::refused, "the token is of another session");
  const auto grant =
      std::find_if(record.grants.begin(), record.grants.end(),
                   [&](const agents::Grant& each) { return each.audience == verified->audience; });
  if (grant == record.grants.end())
    return fail(Errc::refused, "the token is for an audience that the record does not grant");
  const auto status = attest::status_reference(verified->claims);
  if (!status || !*status) return fail(Errc::refused, "the token has no status of ours");
  // An index of ours fits; another's is beyond every list.
  const auto index = static_cast<std::uint32_t>(
      std::min<std::uint64_t>((*status)->index, std::numeric_limits<std::uint32_t>::max()));
  return tokens::KnownToken{std::string(token), grant->urls, verified->expires_at, index};
}

struct Checked {
  std::string url;  // normalised
  std::uint32_t status_index = 0;
};

std::variant<Checked, Refusal> check(Service& service, const agents::Record& record,
                                     tokens::Session& session, const front::Request& request) {
  const auto token = *request.get("access_token");
  const auto* known = session.known(token);
  if (known == nullptr) {
    auto verified = verify_own(service, record, session, token);
    if (!verified) return invalid_token("foreign-token", "no proof can be made for this token");
    session.remember(std::move(*verified));
    known = session.known(token);
  }
  if (known->expires_at <= unix_now())
    return invalid_token("expired-token", "the token has expired");
  if (service.revocations.revoked(known->status_index))
    return invalid_token("revoked-token", "the token was revoked");
  if (!is_method(*request.get("method")))
    return Refusal{"method", {400, "invalid_request", "method is no HTTP method", {}}};
  auto url = attest::normalise_htu(*request.get("url"));
  if (!url) return Refusal{"url", {400, "invalid_request", url.error().what, url.error().hint}};
  const bool granted = std::any_of(known->urls.begin(), known->urls.end(), [&](const auto& base) {
    return attest::lies_under(*url, base);
  });
  if (!granted)
    return Refusal{"url-outside-grant",
                   {400, "invalid_target", "the URL is not one that this token's grant covers",
                    "an admin lists it under `urls` in the agent's record"}};
  return Checked{std::move(*url), known->status_index};
}

awaitable<Result<Signature>> sign(Service& service, tokens::Session& session, const Digest& digest,
                                  keystore::Caller caller) {
  if (const auto* key = session.key_to_sign_with())
    co_return co_await service.memory_signing.sign(*key, digest);
  co_return co_await tokens::await_signature(service.io, service.store, session.stored_key()->id,
                                             digest, caller);
}

}  // namespace

awaitable<front::Response> proof(Context context) {
  auto& service = context.service;
  const auto& record = *context.caller->record;
  const auto& request = context.exchange.request;
  const auto session = service.sessions.find(*context.exchange.process, record);
  if (session == nullptr) {
    const auto refusal = invalid_token("no-session", "this process has no session");
    co_return co_await deny(context, "proof-refused", refusal.reason, "no session", refusal.answer);
  }
  const auto& limits = service.policy.rules.limits.of(record.tier());
  if (!session->proofs.take(limits.proofs, tokens::RateBucket::Clock::now())) {
    const Problem refusal{429, "temporarily_unavailable", "this session asks for proofs too often",
                          "one proof per request is enough", 1};
    co_return co_await deny(context, "proof-refused", "proof-rate", "too many proofs", refusal);
  }
  const auto outcome = check(service, record, *session, request);
  if (const auto* refusal = std::get_if<Refusal>(&outcome))
    co_return co_await deny(context, "proof-refused", refusal->reason, refusal->answer.description,
                            refusal->answer);
  const auto& checked = std::get<Checked>(outcome);
  std::array<std::uint8_t, 16> random{};
  keystore::fill_random(random);
  const auto payload =
      attest::proof_payload({attest::base64url(random), *request.get("method"), checked.url,
                             *request.get("access_token"), request.get("nonce"), unix_now()});
  std::string dpop = session->encoded_proof_header();
  attest::append_base64url(dpop, as_bytes(payload));
  const auto signature = co_await sign(service, *session, keystore::sha256(as_bytes(dpop)),
                                       context.exchange.process->facts().uid);
  if (session->ended()) {
    const auto refusal = invalid_token("session-ended", "the session ended meanwhile");
    co_return co_await deny(context, "proof-refused", refusal.reason,
                            "it ended while the key signed", refusal.answer);
  }
  // By its place: the session may have forgotten the token over others by now.
  if (service.revocations.revoked(checked.status_index)) {
    const auto refusal = invalid_token("revoked-token", "the token was revoked meanwhile");
    co_return co_await deny(context, "proof-refused", refusal.reason,
                            "it was revoked while the key signed", refusal.answer);
  }
  if (!signature) {
    const auto refusal = unavailable(signature.error());
    co_return co_await deny(context, "proof-refused", to_string(signature.error().code),
                            signature.error().what, refusal);
  }
  attest::append_signature(dpop, *signature);
  ++service.recorder.use(session->id(), session->agent()).proofs;
  co_return answer("{\"dpop\":\"" + dpop + "\"}", context.exchange.correlation_id);
}

}  // namespace badged::calls
