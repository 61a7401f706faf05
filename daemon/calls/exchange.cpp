// POST /v1/token with grant_type token-exchange (RFC 8693): an agent narrows its own token, or acts
// for somebody whose token it was given. The actor authenticates by being the process.
#include <charconv>

#include "attest/json/strict.h"
#include "daemon/calls/issuing.h"
#include "daemon/calls/subject.h"
#include "daemon/policy/exchange.h"

namespace badged::calls {
namespace {

using boost::asio::awaitable;
using policy::Side;

// RFC 8693 3.
constexpr std::string_view kAccessToken = "urn:ietf:params:oauth:token-type:access_token";
constexpr std::string_view kJwt = "urn:ietf:params:oauth:token-type:jwt";

struct ExchangeRequest {
  policy::ExchangeAsk asked;
  SubjectAsk subject;
  std::string_view issued_type = kAccessToken;
};

Problem bad_request(std::string description, std::string hint = {}) {
  return {400,
          "invalid_request",
          std::move(description),
          std::move(hint),
          0,
          policy::to_string(Side::request)};
}

// A whole number of seconds, of at most a day as durations are here.
std::optional<std::chrono::seconds> seconds_from(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || number < 1 || number > agents::kMaxDuration.count()) return std::nullopt;
  return std::chrono::seconds(number);
}

// RFC 8693 2.1: types belong to tokens, both ways.
std::optional<Problem> read_types(const front::Request& request, ExchangeRequest& out) {
  const auto type = request.get("subject_token_type");
  if (!request.get("subject_token") || !type)
    return bad_request("subject_token and subject_token_type are required");
  if (*type != kAccessToken && *type != kJwt)
    return bad_request("subject_token_type is none that is accepted here",
                       std::string(kAccessToken) + " or " + std::string(kJwt));
  if (const auto wanted = request.get("requested_token_type")) {
    if (*wanted != kAccessToken && *wanted != kJwt)
      return bad_request("requested_token_type is none that is issued here",
                         "leave it out, or ask for " + std::string(kAccessToken));
    out.issued_type = *wanted == kJwt ? kJwt : kAccessToken;
  }
  out.subject.actor_token = request.get("actor_token");
  const auto actor_type = request.get("actor_token_type");
  if (out.subject.actor_token.has_value() != actor_type.has_value())
    return bad_request("actor_token and actor_token_type come together or not at all");
  if (actor_type && *actor_type != kAccessToken && *actor_type != kJwt)
    return bad_request("actor_token_type is none that is accepted here",
                       "leave actor_token out: the actor is the process that asks");
  return std::nullopt;
}

std::variant<ExchangeRequest, Problem> read_request(const front::Request& request) {
  ExchangeRequest out;
  if (auto refusal = read_types(request, out)) return *std::move(refusal);
  out.subject.token = *request.get("subject_token");
  out.subject.proof = request.get("subject_token_proof").value_or("");
  if (const auto wanted = request.get("expires_in")) {
    out.asked.lifetime = seconds_from(*wanted);
    if (!out.asked.lifetime)
      return bad_request("expires_in is no number of seconds", "1 to 86400, without a unit");
  }
  auto ask = read_ask(request);
  if (!ask) {
    auto refusal = bad_request(ask.error().what, ask.error().hint);
    if (ask.error().code == Errc::refused) refusal.code = "invalid_authorization_details";
    return refusal;
  }
  out.asked.ask = std::move(*ask);
  return out;
}

// ,"issued_token_type":…,"narrowed":[{"member":"scope","by":"record","reason":…},…]
std::string answer_members(std::string_view issued_type,
                           const std::vector<policy::Narrowing>& narrowed) {
  std::string out = ",\"issued_token_type\":";
  attest::append_json_string(out, issued_type);
  out += ",\"narrowed\":[";
  for (const auto& step : narrowed) {
    out += out.back() == '[' ? "{\"member\":" : ",{\"member\":";
    attest::append_json_string(out, step.member);
    out += ",\"by\":";
    attest::append_json_string(out, policy::to_string(step.by));
    out += ",\"reason\":";
    attest::append_json_string(out, step.reason);
    out += '}';
  }
  return out += ']';
}

awaitable<front::Response> refuse_grant(Context context, policy::ExchangeDenial denied) {
  const auto& denial = denied.denial;
  const Problem refusal{status_of(denial.code),
                        policy::to_string(denial.code),
                        denial.description,
                        denial.hint,
                        0,
                        policy::to_string(denied.by)};
  co_return co_await deny(context, "denial", refusal.code, denial.reason, refusal);
}

// Takes the proof for good, as the last of all checks: who is refused for another reason has no
// part of what can be remembered. Between this and the token nothing else may use it.
awaitable<std::optional<front::Response>> take_proof(Context context,
                                                     const attest::VerifiedProof& proof) {
  using Why = tokens::SubjectProofs::Why;
  auto& service = context.service;
  const auto refused = service.subject_proofs.take(
      context.caller->record->name, proof, service.policy.records->records().size(), unix_now());
  if (!refused) co_return std::nullopt;
  if (refused->why == Why::replayed) {
    auto replayed = subject_proof_replayed();
    co_return co_await refuse_subject(context, std::move(replayed));
  }
  const bool own = refused->why == Why::share_used;
  const Problem refusal{503,
                        "temporarily_unavailable",
                        own ? "this agent has brought as many proofs as are remembered of one"
                            : "as many proofs as can be remembered are in their window",
                        "try again after Retry-After seconds, with a new proof",
                        refused->retry_after,
                        policy::to_string(Side::host)};
  const std::string_view reason = own ? "subject-proofs-share" : "subject-proofs-full";
  co_return co_await deny(context, "denial", reason, refusal.description, refusal);
}

}  // namespace

awaitable<front::Response> exchange(Context context) {
  auto& service = context.service;
  auto read = read_request(context.exchange.request);
  if (const auto* refusal = std::get_if<Problem>(&read))
    co_return co_await deny(context, "denial", refusal->code, refusal->description, *refusal);
  const auto& request = std::get<ExchangeRequest>(read);
  // Before a signature of a stranger's choice is checked: RSA costs us more than an agent.
  if (const auto refusal = token_rate(context))
    co_return co_await deny(context, "denial", "token-rate", "new tokens too often", *refusal);
  auto checked = check_subject(context, request.subject);
  if (auto* refused = std::get_if<SubjectRefusal>(&checked))
    co_return co_await refuse_subject(context, std::move(*refused));
  auto& subject = std::get<Subject>(checked);
  auto decision =
      policy::decide_exchange(*context.caller->record, request.asked, standing_of(service),
                              service.policy.rules.limits, subject.bounds);
  if (auto* denied = std::get_if<policy::ExchangeDenial>(&decision))
    co_return co_await refuse_grant(context, std::move(*denied));
  auto& granted = std::get<policy::ExchangeGrant>(decision);
  auto session = co_await session_for(context, granted.grant.custody);
  if (!session) co_return co_await not_now(context, session.error());
  if (subject.proof) {
    auto refused = co_await take_proof(context, *subject.proof);
    if (refused) co_return std::move(*refused);
  }
  std::optional<Exchanged> exchanged(
      Exchanged{std::move(subject.delegation), subject.expires_at,
                answer_members(request.issued_type, granted.narrowed), std::move(subject.issuer),
                std::move(subject.jti_sha256), std::move(subject.standing)});
  co_return co_await issue(context, std::move(granted.grant), std::move(*session),
                           std::move(exchanged));
}

}  // namespace badged::calls
