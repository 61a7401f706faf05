// POST /v1/revoke (RFC 7009), and the admins' revocation by token, session and agent.
//
// In this order: issuance and proofs stop at once, then the bits of the status list are flipped on
// disk and in the published list, then the audit has it; all under one txn. What has begun is not
// undone by a failure: revoked stays revoked, what failed is tried again, and the caller is told.
#include <boost/json.hpp>
#include <chrono>
#include <cmath>

#include "attest/jose/base64url.h"
#include "daemon/calls/own_token.h"
#include "daemon/calls/recording.h"
#include "daemon/journal.h"

namespace badged::calls {
namespace {

using boost::asio::awaitable;
using Clock = std::chrono::steady_clock;

// What is to end, and, once marked, what ended.
struct Ending {
  std::string_view what;  // token, session, agent
  std::string name;       // jti, session id, agent's name
  std::string agent;      // whose it was, where one agent is concerned
  Clock::time_point since = Clock::now();
  tokens::Ledger::Marked tokens{};
  std::size_t sessions = 0;
  std::size_t keys = 0;
  std::optional<std::int64_t> epoch{};
  std::optional<Error> unraised{};  // why an agent's epoch could not rise
};

double milliseconds_since(Clock::time_point since) {
  const std::chrono::duration<double, std::milli> took = Clock::now() - since;
  return std::round(took.count() * 1000) / 1000;
}

std::string describe(const Ending& ending) {
  return std::string(ending.what) + ' ' + ending.name + ": " +
         std::to_string(ending.tokens.tokens) + " tokens, " + std::to_string(ending.sessions) +
         " sessions";
}

Ending end_token(Service& service, std::string name, const tokens::Jti& wanted) {
  Ending ending{"token", std::move(name), {}};
  ending.tokens = service.revocations.mark(unix_now(), [&](const auto& jti, const auto& authority) {
    if (jti != wanted) return false;
    ending.agent = authority.agent;
    return true;
  });
  return ending;
}

// The same where its place is known: no other token is looked at.
Ending end_own(Service& service, const OwnToken& own) {
  Ending ending{"token", own.token.jti, own.place.authority->agent};
  ending.tokens = service.revocations.mark(own.place.index, unix_now());
  return ending;
}

Ending end_session(Service& service, const std::string& id) {
  Ending ending{"session", id, {}};
  if (const auto session = service.sessions.find(id)) ending.agent = session->agent();
  ending.sessions = service.sessions.end_where(
      {}, [&](const tokens::Session& session) { return session.id() == id; }, "revoked");
  ending.keys = ending.sessions;  // each has one, which ends with it
  ending.tokens = service.revocations.mark(unix_now(), [&](const auto&, const auto& authority) {
    if (authority.session != id) return false;
    ending.agent = authority.agent;
    return true;
  });
  return ending;
}

Ending end_agent(Service& service, const std::string& name) {
  Ending ending{"agent", name, name};
  ending.tokens = service.revocations.mark(
      unix_now(), [&](const auto&, const auto& authority) { return authority.agent == name; });
  ending.sessions = service.sessions.end_where(
      name, [&](const tokens::Session& session) { return session.agent() == name; }, "revoked");
  ending.keys = ending.sessions;
  // Last, as it alone can fail. Nothing waits in between, so no token slips through.
  const auto epoch = service.revocations.raise_epoch(name);
  if (epoch) ending.epoch = *epoch;
  if (!epoch) ending.unraised = epoch.error();
  return ending;
}

// The line of a revocation that is in force, for when the disk takes it.
void owe(const Context& context, const audit::Entry& entry) {
  auto& recorder = context.service.recorder;
  if (!recorder.owe(entry))
    recorder.not_written(context.exchange.process->facts().uid, "revocation/not-recorded",
                         audit::Recorder::Clock::now(), 1, audit::Recorder::Who::listed);
}

// From the marks in memory to what outlives us and what others see. A step that fails stops none
// of the others: what is in force here is published and on record whatever the disk says. The first
// error.
awaitable<Result<void>> carry_out(Context context, const Ending& ending) {
  auto& service = context.service;
  const auto stored = co_await service.revocations.save();
  const auto published = co_await service.revocations.publish();
  auto entry = entry_about("revocation", context);
  entry.text("of", ending.what).text("name", ending.name);
  if (!ending.agent.empty() && context.caller == nullptr) entry.text("agent", ending.agent);
  entry.number("tokens", static_cast<std::int64_t>(ending.tokens.tokens));
  entry.number("sessions", static_cast<std::int64_t>(ending.sessions));
  if (ending.epoch) entry.number("epoch", *ending.epoch);
  entry.text("state_db", stored ? "stored" : "due");
  entry.text("status_list", published ? "published" : "due");
  const auto recorded = co_await durable(service, entry);
  if (!recorded) owe(context, entry);
  for (const auto* step : {&stored, &published, &recorded})
    if (!*step) log(Level::error, step->error().what, context.exchange.correlation_id);
  if (ending.unraised) co_return *ending.unraised;
  if (!stored) co_return stored;
  co_return published ? recorded : published;
}

// A revocation that is in force here and not yet everywhere. The caller must know.
front::Response incomplete(const Context& context, const Ending& ending, const Error& error) {
  log(Level::error, "revoke " + describe(ending) + ": " + error.what,
      context.exchange.correlation_id);
  auto answer = unavailable(error);
  answer.description =
      "revoked and in force on this host: no proof or token comes of it any more; but it could not "
      "be stored, published or recorded yet, which is tried again each second";
  answer.hint = "the journal says what failed; say it again when that is mended, to be sure";
  return problem(answer, context.exchange.correlation_id);
}

std::string ended_json(const Context& context, const Ending& ending) {
  boost::json::object out{{"revoked", ending.what},
                          {std::string(ending.what), ending.name},
                          {"tokens", ending.tokens.tokens},
                          {"already_revoked", ending.tokens.found - ending.tokens.tokens},
                          {"sessions", ending.sessions},
                          {"keys", ending.keys}};
  if (!ending.agent.empty()) out["agent"] = ending.agent;
  if (ending.epoch) out["epoch"] = *ending.epoch;
  out["took_ms"] = milliseconds_since(ending.since);
  out["txn"] = context.exchange.correlation_id;
  return boost::json::serialize(out);
}

awaitable<front::Response> finish(Context context, Ending ending) {
  const auto done = co_await carry_out(context, ending);
  if (!done) co_return incomplete(context, ending, done.error());
  log(Level::notice, "revoked " + describe(ending), context.exchange.correlation_id);
  co_return answer(ended_json(context, ending), context.exchange.correlation_id);
}

front::Response unknown(const Context& context, const char* what, const char* hint) {
  return problem({404, "not_found", what, hint}, context.exchange.correlation_id);
}

awaitable<front::Response> revoke_jti(Context context, std::string jti) {
  tokens::Jti wanted{};
  if (!attest::decode_base64url(jti, wanted))
    co_return unknown(context, "no unexpired token of this host has this jti",
                      "`badgectl audit tail` has the jti of each token");
  auto ending = end_token(context.service, std::move(jti), wanted);
  if (ending.tokens.found == 0)
    co_return unknown(context, "no unexpired token of this host has this jti",
                      "`badgectl audit tail` has the jti of each token");
  co_return co_await finish(context, std::move(ending));
}

awaitable<front::Response> revoke_session(Context context, std::string id) {
  auto ending = end_session(context.service, id);
  if (ending.sessions == 0 && ending.tokens.found == 0)
    co_return unknown(context, "no session of this id lives, or left an unexpired token",
                      "`badgectl audit tail` has the session of each token");
  co_return co_await finish(context, std::move(ending));
}

awaitable<front::Response> revoke_agent(Context context, std::string name) {
  auto& service = context.service;
  bool is_known = service.policy.records->find(name) != nullptr;
  if (!is_known)
    service.revocations.ledger().each(unix_now(), [&](const tokens::Ledger::Token& token) {
      is_known = is_known || token.authority->agent == name;
    });
  if (!is_known)
    co_return unknown(context, "no agent has this name, nor an unexpired token of it",
                      "`badgectl agents list` has all");
  auto ending = end_agent(service, name);
  co_return co_await finish(context, std::move(ending));
}

}  // namespace

awaitable<front::Response> revoke(Context context) {
  auto& service = context.service;
  if (!takes_question(context)) {
    const Problem refusal{429, "temporarily_unavailable", "this agent revokes tokens too often",
                          "an admin can revoke all of an agent's tokens at once", 1};
    co_return co_await deny(context, "denial", "question-rate", "too many questions", refusal);
  }
  // RFC 7009 2.2: 200 also for what is no token. The same answer for another agent's: nobody learns
  // whether it exists.
  const auto nothing = answer("", context.exchange.correlation_id);
  const auto found = find_own_token(service, *context.exchange.request.get("token"));
  if (!found) co_return problem(unavailable(found.error()), context.exchange.correlation_id);
  const auto& own = *found;
  if (!own || own->place.authority->agent != context.caller->record->name) co_return nothing;
  // It is on record already: an agent that says it again costs no disk.
  if (own->place.revoked && service.revocations.is_settled()) co_return nothing;
  const auto ending = end_own(service, *own);
  const auto done = co_await carry_out(context, ending);
  if (!done) co_return incomplete(context, ending, done.error());
  co_return nothing;
}

awaitable<front::Response> revoke_any(Context context) {
  const auto& request = context.exchange.request;
  const auto token = request.get("token");
  const auto jti = request.get("jti");
  const auto session = request.get("session");
  const auto agent = request.get("agent");
  const int given = (token ? 1 : 0) + (jti ? 1 : 0) + (session ? 1 : 0) + (agent ? 1 : 0);
  if (given != 1)
    co_return problem(
        {400, "invalid_request", "one of token, jti, session and agent is needed", {}},
        context.exchange.correlation_id);
  if (jti) co_return co_await revoke_jti(context, std::string(*jti));
  if (session) co_return co_await revoke_session(context, std::string(*session));
  if (agent) co_return co_await revoke_agent(context, std::string(*agent));
  const auto found = find_own_token(context.service, *token);
  if (!found) co_return problem(unavailable(found.error()), context.exchange.correlation_id);
  const auto& own = *found;
  if (!own)
    co_return unknown(context, "this is no unexpired token of this host",
                      "an expired one needs no revocation");
  auto ending = end_own(context.service, *own);
  co_return co_await finish(context, std::move(ending));
}

}  // namespace badged::calls
