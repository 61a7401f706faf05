#include "daemon/calls/issuing.h"

#include <set>

#include "attest/jose/base64url.h"
#include "attest/jose/jws.h"
#include "attest/limits.h"
#include "daemon/calls/authorization_details.h"
#include "daemon/calls/subject.h"
#include "daemon/journal.h"
#include "daemon/policy/scope.h"
#include "daemon/tokens/await_signature.h"
#include "keystore/random.h"
#include "keystore/sha256.h"

namespace badged::calls {

using boost::asio::awaitable;
using tokens::SessionPtr;

Result<policy::Ask> read_ask(const front::Request& request) {
  policy::Ask ask;
  for (const auto& field : request.fields) {
    if (field.name == "audience") ask.audiences.push_back(field.value);
    if (field.name == "resource") ask.resources.push_back(field.value);
  }
  if (const auto scope = request.get("scope")) {
    ask.scope = policy::split_scope(*scope);
    ask.scope_given = true;
  }
  if (const auto type = request.get("token_type")) {
    if (*type != "DPoP" && *type != "Bearer")
      return fail(Errc::malformed, "token_type must be DPoP or Bearer");
    ask.token_type = *type == "DPoP" ? policy::TokenType::dpop : policy::TokenType::bearer;
  }
  if (const auto details = request.get("authorization_details")) {
    auto parsed = parse_authorization_details(*details);
    if (!parsed) return parsed.error();
    ask.details = std::move(*parsed);
  }
  return ask;
}

policy::Standing standing_of(Service& service) {
  watch_clock(service);
  auto state = service.store.state();
  return {service.store.custody(),
          state.condition,
          std::move(state.message),
          std::move(state.hint),
          service.config.keystore.i_accept_software_keys,
          service.clock.trustworthy()};
}

namespace {

// What signs a token: a key in locked memory, or the store's issuer key.
struct Signer {
  const tokens::IssuingKey* memory = nullptr;
  std::optional<keystore::StoredKey> stored;
  std::string encoded_header;
};

Result<Signer> signer_for(Service& service, keystore::Custody custody, std::int64_t now) {
  if (custody == keystore::Custody::tpm) {
    const auto issuer = service.store.issuer();
    if (!issuer) return issuer.error();
    auto header =
        attest::encoded_header(tokens::token_header(attest::thumbprint(issuer->public_key)));
    return Signer{nullptr, *issuer, std::move(header)};
  }
  const auto* key = service.issuing_keys.current(now);
  if (key == nullptr)
    return fail(Errc::unavailable, "sign a token: no issuing key is within its time",
                "the key store must be ready for a new issuing key: see `badgectl status`");
  return Signer{key, std::nullopt, key->encoded_header};
}

awaitable<Result<Signature>> sign(Service& service, const Signer& signer, const Digest& digest,
                                  keystore::Caller caller) {
  if (signer.memory != nullptr)
    co_return co_await service.memory_signing.sign(signer.memory->key, digest);
  co_return co_await tokens::await_signature(service.io, service.store, signer.stored->id, digest,
                                             caller);
}

// Each once, in order.
std::string detail_types(const policy::Grant& grant) {
  std::set<std::string> types;
  for (const auto& detail : grant.details) types.insert(detail.type);
  return tokens::joined({types.begin(), types.end()});
}

struct Minted {
  std::string token;
  std::string jti;
  std::uint32_t status_index = 0;
  std::int64_t issued_at = 0;
  std::int64_t expires_at = 0;
};

awaitable<Result<Minted>> mint(Context context, const policy::Grant& grant,
                               const tokens::Session& session, const Exchanged* exchanged) {
  auto& service = context.service;
  Minted minted;
  minted.issued_at = unix_now();
  minted.expires_at = minted.issued_at + grant.lifetime.count();
  const bool delegated = exchanged != nullptr && exchanged->delegation;
  if (exchanged != nullptr) minted.expires_at = std::min(minted.expires_at, exchanged->not_after);
  if (minted.expires_at <= minted.issued_at)
    co_return fail(Errc::busy, "exchange a token: the subject token expired meanwhile");
  std::array<std::uint8_t, 16> random{};
  keystore::fill_random(random);
  minted.jti = attest::base64url(random);
  const tokens::Authority authority{session.agent(), session.id(), grant.audience,
                                    tokens::joined(grant.scope), detail_types(grant)};
  const auto place =
      co_await service.revocations.admit(random, minted.expires_at, authority, minted.issued_at);
  if (!place) co_return place.error();
  minted.status_index = *place;
  // After the wait: keys are rotated and epochs raised meanwhile.
  const auto signer = signer_for(service, grant.custody, minted.issued_at);
  if (!signer) co_return signer.error();
  const auto epoch = service.epochs.of(session.agent());
  if (!epoch) co_return epoch.error();
  const auto payload = tokens::token_payload(
      {service.host, grant, session, minted.jti, context.exchange.correlation_id, minted.issued_at,
       minted.expires_at, *epoch, minted.status_index, service.revocations.uri(),
       context.caller->executable_digest, delegated ? &*exchanged->delegation : nullptr});
  minted.token = signer->encoded_header;
  attest::append_base64url(minted.token, as_bytes(payload));
  const auto signature = co_await sign(service, *signer, keystore::sha256(as_bytes(minted.token)),
                                       context.exchange.process->facts().uid);
  if (!signature) co_return signature.error();
  attest::append_signature(minted.token, *signature);
  co_return minted;
}

audit::Entry token_entry(const Context& context, const policy::Grant& grant,
                         const tokens::Session& session, const Minted& minted) {
  auto entry = entry_about("token", context);
  entry.text("jti", minted.jti).text("audience", grant.audience);
  entry.text("scope", tokens::joined(grant.scope)).number("exp", minted.expires_at);
  if (!grant.details.empty()) {
    // What is in them may be a person's account: a digest tells afterwards which they were.
    const auto digest = keystore::sha256(as_bytes(tokens::details_json(grant.details)));
    entry.text("details_types", detail_types(grant));
    entry.text("details_sha256", attest::base64url(digest));
  }
  entry.number("status_idx", minted.status_index);
  entry.text("tier", agents::to_string(grant.tier)).text("session", session.id());
  entry.text("token_type", policy::to_string(grant.token_type));
  entry.text("custody", keystore::to_string(session.custody()));
  return entry;
}

// On whose behalf, and of which token; never that token itself.
void add_exchange(audit::Entry& entry, const Exchanged& exchanged) {
  entry.text("grant", "token-exchange").utf8("subject_issuer", exchanged.subject_issuer);
  entry.text("subject_jti_sha256", exchanged.subject_jti_sha256);
  if (!exchanged.delegation) return;
  entry.utf8("sub", exchanged.delegation->subject);
  std::string chain;  // the latest first; no `sub` that is read holds a space
  for (const auto& actor : exchanged.delegation->actors)
    chain.append(chain.empty() ? "" : " ").append(actor.subject);
  entry.utf8("act", chain);
}

// Of an exchange each refusal says whose word it was; of other requests there is one party.
std::string_view said_by(const Context& context, policy::Side side) {
  const auto grant_type = context.exchange.request.get("grant_type");
  return grant_type && *grant_type == kTokenExchange ? policy::to_string(side) : std::string_view();
}

}  // namespace

awaitable<front::Response> not_now(Context context, Error error) {
  if (error.code == Errc::changed && context.exchange.process->ended())
    co_return problem({401,
                       "invalid_client",
                       "the process ended or started another program",
                       {},
                       0,
                       said_by(context, policy::Side::request)},
                      context.exchange.correlation_id);
  auto refusal = unavailable(error);
  refusal.refused_by = said_by(context, policy::Side::host);
  co_return co_await deny(context, "denial", to_string(error.code), error.what, refusal);
}

namespace {

// True where a reload came while this request waited: what it was decided by is no longer in force.
bool records_changed(const Context& context) {
  const auto& record = context.caller->record;
  return context.service.policy.records->find(record->name) != record;
}

// What came while the token was made or recorded, and must keep it from being handed out.
std::optional<Error> look_again(const Context& context, const tokens::Session& session,
                                const Minted& minted) {
  if (context.service.revocations.revoked(minted.status_index))
    return fail(Errc::busy, "the token was revoked before it was handed out");
  if (session.ended() || records_changed(context))
    return fail(Errc::busy, "the session ended or the records were reloaded meanwhile");
  return std::nullopt;
}

std::optional<SubjectRefusal> look_again(Service& service, const Exchanged& exchanged) {
  if (exchanged.subject && has_ended(service, *exchanged.subject)) return subject_ended();
  if (exchanged.not_after <= unix_now()) return subject_expired();
  return std::nullopt;
}

// What a token may not outgrow: no verifier of ours reads more, and headers of 8 kB are a common
// limit.
bool is_too_long(const Minted& minted) {
  return minted.token.size() > attest::kJwsBytes;
}

awaitable<front::Response> refuse_too_long(Context context, const policy::Grant& grant) {
  const Problem refusal{400,
                        grant.details.empty() ? "invalid_scope" : "invalid_authorization_details",
                        "the token would be longer than servers accept",
                        "ask for less in one token: fewer scopes, shorter details",
                        0,
                        said_by(context, policy::Side::request)};
  co_return co_await deny(context, "denial", "token-too-long", "longer than 8 kB", refusal);
}

}  // namespace

front::Response token_answer(const Context& context, const std::string& head,
                             std::int64_t expires_in) {
  return answer(head + std::to_string(expires_in) + '}', context.exchange.correlation_id);
}

awaitable<front::Response> issue(Context context, policy::Grant grant, SessionPtr session,
                                 std::optional<Exchanged> exchanged) {
  auto& service = context.service;
  auto minted = co_await mint(context, grant, *session, exchanged ? &*exchanged : nullptr);
  if (exchanged)
    if (auto refused = look_again(service, *exchanged))
      co_return co_await refuse_subject(context, std::move(*refused));
  if (!minted) co_return co_await not_now(context, minted.error());
  if (is_too_long(*minted)) co_return co_await refuse_too_long(context, grant);
  if (auto overtaken = look_again(context, *session, *minted))
    co_return co_await not_now(context, std::move(*overtaken));
  auto entry = token_entry(context, grant, *session, *minted);
  if (exchanged) add_exchange(entry, *exchanged);
  const auto recorded = co_await durable(service, entry);
  if (!recorded) {
    log(Level::error, recorded.error().what, context.exchange.correlation_id);
    auto refusal = unavailable(recorded.error());
    refusal.refused_by = said_by(context, policy::Side::host);
    co_return problem(refusal, context.exchange.correlation_id);
  }
  // The disk takes its time too: what came meanwhile counts.
  if (exchanged)
    if (auto refused = look_again(service, *exchanged))
      co_return co_await refuse_subject(context, std::move(*refused));
  if (auto overtaken = look_again(context, *session, *minted))
    co_return co_await not_now(context, std::move(*overtaken));
  auto head = tokens::answer_head(minted->token, grant,
                                  exchanged ? std::string_view(exchanged->answer_members) : "");
  const auto response = token_answer(context, head, minted->expires_at - minted->issued_at);
  if (grant.token_type == policy::TokenType::dpop)
    session->remember({minted->token, grant.urls, minted->expires_at, minted->status_index});
  if (!exchanged)
    session->cache({tokens::cache_key(grant), std::move(head), minted->issued_at,
                    minted->expires_at, minted->status_index});
  co_return response;
}

std::optional<Problem> token_rate(const Context& context) {
  auto& service = context.service;
  const auto& record = *context.caller->record;
  const auto& limits = service.policy.rules.limits.of(record.tier());
  auto& rate = service.token_rates[record.name];
  if (rate.take(limits.tokens, tokens::RateBucket::Clock::now())) return std::nullopt;
  return Problem{429,
                 "temporarily_unavailable",
                 "this agent asks for new tokens too often",
                 "use a token until half of its life is over",
                 1,
                 said_by(context, policy::Side::record)};
}

awaitable<Result<SessionPtr>> session_for(Context context, keystore::Custody custody) {
  auto& service = context.service;
  auto session = service.sessions.find(*context.exchange.process, *context.caller->record);
  if (session != nullptr && session->custody() == custody) co_return session;
  co_return co_await service.sessions.open(context.exchange.process, context.caller->record,
                                           custody);
}

}  // namespace badged::calls
