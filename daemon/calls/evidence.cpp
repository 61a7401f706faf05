// POST /v1/evidence (RFC 9711, RFC 9334): what the TPM says of this host, bound to the caller's
// challenge, to one key and to one audience. For an agent the key is its session's, for an admin
// the TPM's issuer key.
#include "attest/evidence/format.h"
#include "daemon/await.h"
#include "daemon/calls/evidence_ask.h"
#include "daemon/calls/evidence_work.h"
#include "daemon/calls/issuing.h"
#include "daemon/calls/limits.h"
#include "daemon/calls/recording.h"
#include "daemon/calls/table.h"
#include "daemon/journal.h"
#include "daemon/tokens/await_signature.h"
#include "keystore/sha256.h"

namespace badged::calls {
namespace {

using boost::asio::awaitable;

struct Refusal {
  std::string reason;  // for the audit
  std::string detail;
  Problem answer;
  std::optional<Error> cannot{};  // why not now; the rest is unused then
};

Refusal bad_request(const Error& error) {
  return {"invalid_request", error.what, {400, "invalid_request", error.what, error.hint}};
}

Refusal cannot(Error error) {
  return {{}, {}, {}, std::move(error)};
}

Refusal too_often(std::string description) {
  return {"evidence-rate",
          description,
          {429, "temporarily_unavailable", description,
           "evidence is for when a verifier asks, not for each request", 1}};
}

// The key that the evidence speaks for.
struct Speaker {
  std::string subject;
  keystore::PublicKey key;
  keystore::Custody custody = keystore::Custody::tpm;
  tokens::SessionPtr session;  // null: the host itself
};

template <class T>
using Try = std::variant<T, Refusal>;

// Never a substitute: without a TPM there is nothing that could be proved.
std::optional<Refusal> check_store(const Service& service) {
  if (service.store.custody() == keystore::Custody::tpm) return std::nullopt;
  return Refusal{"software-keys",
                 "the key store is software",
                 {400, "invalid_request",
                  "there is no evidence about this host: its keys are in software, not in a TPM",
                  "an admin sets keystore.kind = \"tpm\""}};
}

keystore::Custody custody_for(const Service& service, const agents::Record& record) {
  const auto& limits = service.policy.rules.limits.of(record.tier());
  return limits.custody == agents::KeyCustody::tpm ? keystore::Custody::tpm
                                                   : keystore::Custody::locked_memory;
}

awaitable<Try<Speaker>> speaker_of(Context context) {
  auto& service = context.service;
  const auto& record = context.caller->record;
  const auto custody = custody_for(service, *record);
  auto session = service.sessions.find(*context.exchange.process, *record);
  if (session == nullptr || session->custody() != custody) {
    // As for a new token, which opens a session too: before a key is made for it.
    if (auto refusal = token_rate(context))
      co_return Refusal{"token-rate", "new sessions too often", std::move(*refusal)};
    auto opened = co_await session_for(context, custody);
    if (!opened) co_return cannot(opened.error());
    session = std::move(*opened);
  }
  if (!session->evidence.take(limits::kEvidenceRate, tokens::RateBucket::Clock::now()))
    co_return too_often("this session asks for evidence too often");
  auto subject = tokens::subject(service.host, record->name);
  co_return Speaker{std::move(subject), session->public_key(), session->custody(), session};
}

awaitable<Result<keystore::Quote>> quote(Context context, const EvidenceAsk& ask,
                                         const Speaker& speaker) {
  auto& service = context.service;
  const keystore::QuoteAsk wanted{
      attest::evidence_binding(ask.challenge, attest::thumbprint_digest(speaker.key), ask.audience),
      ask.pcrs};
  co_return co_await await_answer<Result<keystore::Quote>>(
      service.io, [&](Answer<Result<keystore::Quote>> done) {
        service.store.quote(wanted, context.exchange.process->facts().uid, std::move(done));
      });
}

Result<EvidenceMaterial> gather(const Service& service, const EvidenceAsk& ask,
                                const Speaker& speaker, keystore::Quote quote) {
  auto identity = service.store.identity();
  if (!identity) return identity.error();
  auto issuer = service.store.issuer();
  if (!issuer) return issuer.error();
  EvidenceMaterial material;
  material.issuer = service.host.issuer;
  material.subject = speaker.subject;
  material.audience = ask.audience;
  material.challenge = ask.challenge;
  material.issued_at = unix_now();
  material.custody = keystore::to_string(speaker.custody);
  material.issuer_thumbprint = attest::thumbprint(issuer->public_key);
  material.issuer_certification = std::move(issuer->certification);
  if (speaker.session) {
    material.session_jkt = speaker.session->jkt();
    if (const auto* key = speaker.session->stored_key())
      material.session_certification = key->certification;
  }
  material.quote = std::move(quote);
  material.identity = std::move(*identity);
  return material;
}

awaitable<Result<std::string>> sign(Context context, UnsignedEvidence unsigned_text) {
  auto& service = context.service;
  const auto issuer = service.store.issuer();
  if (!issuer) co_return issuer.error();
  const auto signature =
      co_await tokens::await_signature(service.io, service.store, issuer->id, unsigned_text.digest,
                                       context.exchange.process->facts().uid);
  if (!signature) co_return signature.error();
  auto text = std::move(unsigned_text.signing_input);
  attest::append_signature(text, *signature);
  co_return text;
}

// What was asked for may have no one left to speak of: an ended session, a record that is no longer
// in force.
bool outlived(const Context& context, const Speaker& speaker) {
  if (!speaker.session) return false;
  const auto& record = context.caller->record;
  return speaker.session->ended() || context.service.policy.records->find(record->name) != record;
}

awaitable<Try<std::string>> make(Context context, const EvidenceAsk& ask, const Speaker& speaker) {
  auto quoted = co_await quote(context, ask, speaker);
  if (!quoted && quoted.error().code == Errc::refused) co_return bad_request(quoted.error());
  if (!quoted) co_return cannot(quoted.error());
  auto material = gather(context.service, ask, speaker, std::move(*quoted));
  if (!material) co_return cannot(material.error());
  auto assembled = co_await context.service.evidence.assemble(std::move(*material));
  if (!assembled) co_return cannot(assembled.error());
  auto text = co_await sign(context, std::move(*assembled));
  if (!text) co_return cannot(text.error());
  if (outlived(context, speaker)) {
    const auto ended = fail(Errc::busy, "the session ended or the records were reloaded meanwhile");
    co_return cannot(ended);
  }
  co_return std::move(*text);
}

audit::Entry evidence_entry(const Context& context, const EvidenceAsk& ask,
                            const Speaker& speaker) {
  auto entry = entry_about("evidence", context);
  entry.text("audience", ask.audience).text("pcrs", to_text(ask.pcrs));
  entry.text("challenge_sha256", audit::to_hex(keystore::sha256(ask.challenge)));
  entry.text("jkt", attest::thumbprint(speaker.key));
  entry.text("custody", keystore::to_string(speaker.custody));
  if (speaker.session) entry.text("session", speaker.session->id());
  return entry;
}

awaitable<front::Response> refuse(Context context, Refusal refusal) {
  if (refusal.cannot) co_return co_await not_now(context, *refusal.cannot);
  co_return co_await deny(context, "denial", refusal.reason, refusal.detail, refusal.answer);
}

awaitable<front::Response> answer_with(Context context, const EvidenceAsk& ask,
                                       const Speaker& speaker, std::shared_ptr<const void> place) {
  auto made = co_await make(context, ask, speaker);
  if (auto* refusal = std::get_if<Refusal>(&made))
    co_return co_await refuse(context, std::move(*refusal));
  const auto recorded = co_await durable(context.service, evidence_entry(context, ask, speaker));
  if (!recorded) {
    log(Level::error, recorded.error().what, context.exchange.correlation_id);
    co_return problem(unavailable(recorded.error()), context.exchange.correlation_id);
  }
  auto response = answer(std::move(std::get<std::string>(made)), context.exchange.correlation_id);
  response.content_type = "application/eat+jwt";
  response.held = std::move(place);
  co_return response;
}

// What both sockets check alike, before anything is done for the caller.
Try<EvidenceAsk> look_at(const Context& context) {
  auto ask = read_evidence_ask(context.exchange.request);
  if (!ask) return bad_request(ask.error());
  if (auto refusal = check_store(context.service)) return std::move(*refusal);
  return std::move(*ask);
}

Refusal no_place() {
  return cannot(fail(Errc::busy, "make evidence: too much of it is under way"));
}

}  // namespace

awaitable<front::Response> evidence(Context context) {
  auto ask = look_at(context);
  if (auto* refusal = std::get_if<Refusal>(&ask))
    co_return co_await refuse(context, std::move(*refusal));
  auto place = context.service.evidence.take_place("agent " + context.caller->record->name);
  if (place == nullptr) co_return co_await refuse(context, no_place());
  auto speaker = co_await speaker_of(context);
  if (auto* refusal = std::get_if<Refusal>(&speaker))
    co_return co_await refuse(context, std::move(*refusal));
  co_return co_await answer_with(context, std::get<EvidenceAsk>(ask), std::get<Speaker>(speaker),
                                 std::move(place));
}

awaitable<front::Response> evidence_of_host(Context context) {
  auto& service = context.service;
  auto ask = look_at(context);
  if (auto* refusal = std::get_if<Refusal>(&ask))
    co_return co_await refuse(context, std::move(*refusal));
  auto place = service.evidence.take_place("admins");
  if (place == nullptr) co_return co_await refuse(context, no_place());
  const auto issuer = service.store.issuer();
  if (!issuer) co_return co_await refuse(context, cannot(issuer.error()));
  const Speaker host{"spiffe://" + service.host.trust_domain + "/host/" + service.host.name,
                     issuer->public_key, issuer->custody, nullptr};
  co_return co_await answer_with(context, std::get<EvidenceAsk>(ask), host, std::move(place));
}

}  // namespace badged::calls
