#include "daemon/calls/whoami.h"

#include <boost/json.hpp>
#include <charconv>

#include "attest/json/strict.h"
#include "daemon/agents/report.h"
#include "daemon/calls/answers.h"
#include "daemon/calls/recording.h"

namespace badged::calls {
namespace {

namespace json = boost::json;
using boost::asio::awaitable;

json::object session_json(const tokens::Session& session) {
  return {{"id", session.id()},
          {"binding", std::string(agents::to_string(session.binding()))},
          {"jkt", session.jkt()},
          {"custody", keystore::to_string(session.custody())}};
}

json::value agent_json(const Service& service, const agents::Record& record) {
  return json::parse(agents::record_json(record, service.policy.rules.limits));
}

}  // namespace

json::object process_json(const peers::ProcessFacts& facts) {
  json::object out{{"pid", facts.pid},
                   {"uid", facts.uid},
                   {"gid", facts.gid},
                   {"executable", attest::as_utf8(facts.executable)},
                   {"start_time", facts.start_ticks}};
  out["unit"] = facts.unit ? json::value(facts.unit.name) : json::value(nullptr);
  out["invocation_id"] = facts.unit ? json::value(facts.unit.invocation_id) : json::value(nullptr);
  return out;
}

awaitable<front::Response> answer_stranger(Service& service, const front::Exchange& exchange,
                                           NotAdmitted why) {
  const Context context{service, exchange, nullptr, std::nullopt};
  const auto& facts = exchange.process->facts();
  if (why.refusal && why.refusal->code == Errc::busy)
    co_return problem(unavailable(*why.refusal), exchange.correlation_id);
  const std::string reason =
      why.refusal ? peers::to_string(why.refusal->reason) : "no-record:" + why.mismatch.rule;
  const auto detail =
      facts.executable + ": " + (why.refusal ? why.refusal->what : why.mismatch.message);
  const Problem refusal{403, "unauthorized_client", "no agent's record matches this process",
                        "ask the host's admin: `badgectl whoami --pid " +
                            std::to_string(facts.pid) +
                            "` names the first rule that failed and what would satisfy it"};
  auto response = co_await deny(context, "finding", reason, detail, refusal);
  response.body.pop_back();
  response.body += ",\"process\":" + json::serialize(process_json(facts)) + '}';
  co_return response;
}

awaitable<front::Response> whoami(Context context) {
  const auto& record = *context.caller->record;
  json::object out{{"process", process_json(context.exchange.process->facts())},
                   {"agent", agent_json(context.service, record)}};
  if (const auto session = context.service.sessions.find(*context.exchange.process, record))
    out["session"] = session_json(*session);
  co_return answer(json::serialize(out), context.exchange.correlation_id);
}

awaitable<front::Response> whoami_of(Context context) {
  const auto text = *context.exchange.request.get("pid");
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc{} || end != text.data() + text.size() || pid <= 0)
    co_return problem({400, "invalid_request", "pid must be a positive number", {}},
                      context.exchange.correlation_id);
  auto process = context.service.census.inspect(pid);
  if (!process)
    co_return problem({404, "not_found", process.error().what, process.error().hint},
                      context.exchange.correlation_id);
  const auto records = context.service.policy.records;
  const auto outcome = co_await context.service.admissions.admit(*process, records);
  json::object out{{"process", process_json((*process)->facts())}};
  if (const auto* admitted = std::get_if<Admitted>(&outcome)) {
    out["agent"] = agent_json(context.service, *admitted->record);
    out["match"] = json::object{{"record", admitted->record->name},
                                {"first_failed_rule", nullptr},
                                {"satisfied_by", nullptr}};
    co_return answer(json::serialize(out), context.exchange.correlation_id);
  }
  const auto& refused = std::get<NotAdmitted>(outcome);
  agents::CallerFacts facts;
  facts.process = (*process)->facts();
  const auto nearest = records->explain(facts).value_or(refused.mismatch);
  out["agent"] = nullptr;
  out["match"] = json::object{
      {"record", nullptr},
      {"nearest", nearest.agent},
      {"first_failed_rule", nearest.rule},
      {"message", attest::as_utf8(refused.refusal ? refused.refusal->what : nearest.message)},
      {"satisfied_by", refused.refusal ? refused.refusal->hint : nearest.remedy}};
  co_return answer(json::serialize(out), context.exchange.correlation_id);
}

}  // namespace badged::calls
