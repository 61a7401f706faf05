#include "daemon/calls/table.h"

#include <array>

#include "daemon/audit/line.h"
#include "daemon/calls/admin_peer.h"
#include "daemon/calls/answers.h"
#include "daemon/calls/recording.h"
#include "daemon/calls/whoami.h"
#include "daemon/journal.h"

namespace badged::calls {
namespace {

using boost::asio::awaitable;
using front::BodyKind;
using front::FieldShape;
using front::Method;
using front::Socket;

constexpr std::array kTokenFields{
    FieldShape{"grant_type", true},
    FieldShape{"audience", false, true},
    FieldShape{"resource", false, true},
    FieldShape{"scope"},
    FieldShape{"authorization_details"},
    FieldShape{"token_type"},
    // RFC 8693 2.1, and two of ours.
    FieldShape{"subject_token"},
    FieldShape{"subject_token_type"},
    FieldShape{"actor_token"},
    FieldShape{"actor_token_type"},
    FieldShape{"requested_token_type"},
    FieldShape{"subject_token_proof"},
    FieldShape{"expires_in"},
};
constexpr std::array kProofFields{
    FieldShape{"method", true},
    FieldShape{"url", true},
    FieldShape{"access_token", true},
    FieldShape{"nonce"},
};
constexpr std::array kEvidenceFields{
    FieldShape{"challenge", true},
    FieldShape{"audience", true},
    FieldShape{.name = "pcrs", .object = true},
};
// RFC 7662 2.1, RFC 7009 2.1. An admin may also name what has no token at hand.
constexpr std::array kTokenField{FieldShape{"token", true}, FieldShape{"token_type_hint"}};
constexpr std::array kRevokeFields{FieldShape{"token"}, FieldShape{"token_type_hint"},
                                   FieldShape{"jti"}, FieldShape{"session"}, FieldShape{"agent"}};
constexpr std::array kPidField{FieldShape{"pid", true}};
constexpr std::array kNameField{FieldShape{"name", true}};
constexpr std::array kTailFields{FieldShape{"since"}, FieldShape{"limit"}};

// A path that stands twice is two calls: the socket decides.
constexpr std::array kTable{
    Row{{Method::post, "/v1/token", Socket::agent, BodyKind::form, kTokenFields},
        Who::listed,
        token},
    Row{{Method::post, "/v1/proof", Socket::agent, BodyKind::json, kProofFields},
        Who::listed,
        proof},
    Row{{Method::post, "/v1/evidence", Socket::agent, BodyKind::json, kEvidenceFields},
        Who::listed,
        evidence},
    Row{{Method::post, "/v1/introspect", Socket::agent, BodyKind::form, kTokenField},
        Who::listed,
        introspect},
    Row{{Method::post, "/v1/revoke", Socket::agent, BodyKind::form, kTokenField},
        Who::listed,
        revoke},
    Row{{Method::post, "/v1/introspect", Socket::admin, BodyKind::form, kTokenField},
        Who::admin,
        introspect_any},
    Row{{Method::post, "/v1/revoke", Socket::admin, BodyKind::form, kRevokeFields},
        Who::admin,
        revoke_any},
    Row{{Method::get, "/v1/status-list", Socket::both, BodyKind::none, {}},
        Who::anyone,
        status_list},
    Row{{Method::get, "/v1/whoami", Socket::agent, BodyKind::none, {}}, Who::listed, whoami},
    Row{{Method::get, "/v1/jwks", Socket::both, BodyKind::none, {}}, Who::anyone, jwks},
    Row{{Method::get, "/.well-known/oauth-authorization-server", Socket::both, BodyKind::none, {}},
        Who::anyone,
        metadata},
    Row{{Method::get, "/v1/identity", Socket::both, BodyKind::none, {}}, Who::anyone, identity},
    Row{{Method::get, "/v1/whoami", Socket::admin, BodyKind::query, kPidField},
        Who::admin,
        whoami_of},
    Row{{Method::post, "/v1/evidence", Socket::admin, BodyKind::json, kEvidenceFields},
        Who::admin,
        evidence_of_host},
    Row{{Method::get, "/v1/status", Socket::admin, BodyKind::none, {}}, Who::admin, status},
    Row{{Method::get, "/v1/agents", Socket::admin, BodyKind::none, {}}, Who::admin, agents_list},
    Row{{Method::get, "/v1/agents/", Socket::admin, BodyKind::none, kNameField},
        Who::admin,
        agents_show},
    Row{{Method::get, "/v1/matrix", Socket::admin, BodyKind::none, {}}, Who::admin, matrix},
    Row{{Method::post, "/v1/reload", Socket::admin, BodyKind::none, {}}, Who::admin, reload},
    Row{{Method::get, "/v1/audit", Socket::admin, BodyKind::query, kTailFields},
        Who::admin,
        audit_tail},
};

awaitable<front::Response> for_anyone(Service& service, const Row& row,
                                      const front::Exchange& exchange) {
  const Context context{service, exchange, nullptr, std::nullopt};
  co_return co_await row.handler(context);
}

awaitable<front::Response> for_listed(Service& service, const Row& row,
                                      const front::Exchange& exchange) {
  // The common case costs no coroutine of its own.
  if (const auto* known = service.admissions.kept(exchange.process, *service.policy.records)) {
    const Admitted admitted = *known;
    const Context context{service, exchange, &admitted, std::nullopt};
    co_return co_await row.handler(context);
  }
  // A reload may come while systemd is asked or a file is hashed: then the match is of a set that
  // is no longer in force, and counts for nothing.
  auto records = service.policy.records;
  auto outcome = co_await service.admissions.admit(exchange.process, records);
  while (records != service.policy.records) {
    records = service.policy.records;
    outcome = co_await service.admissions.admit(exchange.process, records);
  }
  if (const auto* admitted = std::get_if<Admitted>(&outcome)) {
    const Context context{service, exchange, admitted, std::nullopt};
    co_return co_await row.handler(context);
  }
  co_return co_await answer_stranger(service, exchange, std::get<NotAdmitted>(outcome));
}

awaitable<front::Response> for_admin(Service& service, const Row& row,
                                     const front::Exchange& exchange) {
  const auto admin = admin_peer(exchange);
  const Context context{service, exchange, nullptr, admin ? std::optional(*admin) : std::nullopt};
  if (admin) co_return co_await row.handler(context);
  const Problem refusal{403, "access_denied", admin.error().what, admin.error().hint};
  co_return co_await deny(context, "denial", "not-an-admin", std::string(row.shape.path), refusal);
}

}  // namespace

std::span<const Row> table() {
  return kTable;
}

std::vector<front::CallShape> shapes() {
  std::vector<front::CallShape> out;
  for (const auto& row : kTable) out.push_back(row.shape);
  return out;
}

awaitable<front::Response> dispatch(Service& service, front::Exchange exchange) {
  const auto& row = kTable[exchange.request.call];
  switch (row.who) {
    case Who::anyone:
      co_return co_await for_anyone(service, row, exchange);
    case Who::listed:
      co_return co_await for_listed(service, row, exchange);
    case Who::admin:
      co_return co_await for_admin(service, row, exchange);
  }
  co_return problem({404, "not_found", "no such call", {}}, exchange.correlation_id);
}

awaitable<front::Response> refused(Service& service, peers::Refusal refusal, std::uint32_t uid,
                                   std::string correlation_id) {
  const char* reason = peers::to_string(refusal.reason);
  const auto now = audit::Recorder::Clock::now();
  if (!service.recorder.counts_as_repeat(uid, reason, now)) {
    log(Level::warning, refusal.what, correlation_id);
    const char* kind = peers::is_finding(refusal.reason) ? "finding" : "denial";
    const auto written = co_await durable(
        service,
        audit::Entry(kind).text("txn", correlation_id).text("reason", reason).number("uid", uid));
    if (!written) {
      log(Level::error, written.error().what, correlation_id);
      service.recorder.not_written(uid, reason, now);
    }
  }
  const bool busy = refusal.code == Errc::busy;
  auto response = problem({busy ? 503 : 401, busy ? "temporarily_unavailable" : "invalid_client",
                           refusal.what, refusal.hint, busy ? 1 : 0},
                          correlation_id);
  response.close = true;
  co_return response;
}

}  // namespace badged::calls
