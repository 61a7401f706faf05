// The admins' verbs: what is in force, and putting new records in force.
#include <boost/json.hpp>
#include <charconv>

#include "daemon/agents/report.h"
#include "daemon/audit/limits.h"
#include "daemon/audit/verify.h"
#include "daemon/calls/answers.h"
#include "daemon/calls/authority.h"
#include "daemon/calls/recording.h"
#include "daemon/calls/table.h"
#include "daemon/version.h"

namespace badged::calls {
namespace {

namespace json = boost::json;
using boost::asio::awaitable;

json::array problems_json(const agents::Diagnostics& problems) {
  json::array out;
  for (const auto& problem : problems)
    out.push_back({{"severity", problem.severity == agents::Severity::error ? "error" : "warning"},
                   {"file", problem.file},
                   {"line", problem.at.line},
                   {"column", problem.at.column},
                   {"message", problem.message},
                   {"hint", problem.hint}});
  return out;
}

json::object keystore_json(const Service& service) {
  const auto state = service.store.state();
  return {{"kind", service.config.keystore.kind == config::StoreKind::tpm ? "tpm" : "software"},
          {"condition", keystore::to_string(state.condition)},
          {"message", state.message},
          {"hint", state.hint},
          {"custody", keystore::to_string(service.store.custody())}};
}

json::object audit_json(const Service& service) {
  const auto head = service.log.head();
  const auto condition = service.log.condition();
  return {{"path", service.log.path()},
          {"seq", head.seq},
          {"hash", audit::to_hex(head.hash)},
          {"state", condition ? "ok" : condition.error().what}};
}

front::Response ok_json(const Context& context, std::string body) {
  return answer(std::move(body), context.exchange.correlation_id);
}

// An optional number of a query; the fallback where absent.
std::optional<std::int64_t> number(const front::Request& request, std::string_view name,
                                   std::int64_t fallback) {
  const auto text = request.get(name);
  if (!text) return fallback;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc{} || end != text->data() + text->size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

awaitable<front::Response> status(Context context) {
  const auto& service = context.service;
  json::array warnings;
  for (const auto& warning : service.warnings) warnings.push_back(json::value(warning));
  if (!service.clock.trustworthy())
    warnings.push_back(
        "the clock was set back: no tokens are issued until it has caught up, or "
        "`badgectl reload` says that it is right");
  const auto counts = service.connections();
  const json::object out{{"version", kVersion},
                         {"issuer", service.host.issuer},
                         {"host", service.host.name},
                         {"keystore", keystore_json(service)},
                         {"agents",
                          {{"good", service.policy.records->records().size()},
                           {"problems", problems_json(service.policy.problems)}}},
                         {"sessions", service.sessions.size()},
                         {"connections", counts.connections},
                         {"accepted", counts.accepted},
                         {"turned_away", counts.turned_away},
                         {"processes", service.census.size()},
                         {"audit", audit_json(service)},
                         {"clock", service.clock.trustworthy() ? "ok" : "set-back"},
                         {"started", service.started},
                         {"uptime_s", unix_now() - service.started},
                         {"warnings", std::move(warnings)}};
  co_return ok_json(context, json::serialize(out));
}

awaitable<front::Response> agents_list(Context context) {
  co_return ok_json(context, agents::list_json(*context.service.policy.records));
}

awaitable<front::Response> agents_show(Context context) {
  const auto& service = context.service;
  const auto name = *context.exchange.request.get("name");
  const auto record = service.policy.records->find(name);
  auto now = authority_now(service, name);
  // An agent whose record was taken away may still have tokens: they are what one looks for.
  if (record == nullptr && now.at("tokens") == 0)
    co_return problem(
        {404, "not_found", "no agent has this name", "`badgectl agents list` has all"},
        context.exchange.correlation_id);
  if (record == nullptr)
    co_return ok_json(context, json::serialize(json::object{
                                   {"name", name}, {"record", nullptr}, {"now", std::move(now)}}));
  auto body = agents::record_json(*record, service.policy.rules.limits);
  body.pop_back();
  co_return ok_json(context, body + ",\"now\":" + json::serialize(now) + '}');
}

awaitable<front::Response> matrix(Context context) {
  const auto& policy = context.service.policy;
  auto body = agents::matrix_json(*policy.records, policy.rules.map);
  body.pop_back();
  body += ",\"text\":" +
          json::serialize(json::value(agents::matrix_text(*policy.records, policy.rules.map))) +
          '}';
  co_return ok_json(context, std::move(body));
}

awaitable<front::Response> reload(Context context) {
  const auto who = "uid " + std::to_string(context.admin->uid) + ", login uid " +
                   std::to_string(context.admin->login_uid);
  const auto entry = entry_about("reload", context);
  const auto result = co_await context.service.reload(who, entry);
  if (!result.recorded) {
    auto failed = unavailable(result.recorded.error());
    failed.description =
        "the records in force stay: a reload that is not on record changes nothing";
    failed.hint = "`badgectl status` says how the audit log is; mend it, then reload again";
    co_return problem(failed, context.exchange.correlation_id);
  }
  if (result.changed)
    co_return ok_json(context,
                      json::serialize(json::object{{"changed", true},
                                                   {"agents", result.agents},
                                                   {"problems", problems_json(result.problems)}}));
  auto refused = problem({409, "invalid_records", "the records in force stay: some files are bad",
                          "mend the files named in `problems`, then reload again"},
                         context.exchange.correlation_id);
  refused.body.pop_back();
  refused.body += ",\"problems\":" + json::serialize(problems_json(result.problems)) + '}';
  co_return refused;
}

awaitable<front::Response> audit_tail(Context context) {
  const auto since = number(context.exchange.request, "since", 0);
  const auto limit = number(context.exchange.request, "limit", 100);
  if (!since || !limit)
    co_return problem({400, "invalid_request", "since and limit must be numbers", {}},
                      context.exchange.correlation_id);
  const auto lines =
      audit::tail(context.service.log.path(), *since, static_cast<std::size_t>(*limit));
  if (!lines) co_return problem(unavailable(lines.error()), context.exchange.correlation_id);
  std::string body = "{\"lines\":[";
  for (const auto& line : *lines) {
    if (&line != &lines->front()) body += ',';
    body += json::serialize(json::value(line));
  }
  co_return ok_json(context, body + "]}");
}

}  // namespace badged::calls
