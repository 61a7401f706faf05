#include "daemon/calls/recording.h"

#include "daemon/await.h"
#include "daemon/journal.h"

namespace badged::calls {

using boost::asio::awaitable;

awaitable<Result<void>> durable(Service& service, const audit::Entry& entry) {
  co_return co_await await_posted_answer<Result<void>>(
      [&](Answer<Result<void>> done) { service.recorder.write(entry, std::move(done)); });
}

audit::Entry entry_about(std::string_view kind, const Context& context) {
  const auto& facts = context.exchange.process->facts();
  audit::Entry entry(kind);
  entry.text("txn", context.exchange.correlation_id);
  if (context.caller != nullptr) entry.text("agent", context.caller->record->name);
  entry.number("uid", facts.uid).number("pid", facts.pid);
  if (facts.unit) entry.text("unit", facts.unit.name);
  if (context.admin) entry.number("login_uid", context.admin->login_uid);
  return entry;
}

void watch_clock(Service& service) {
  const auto step = service.clock.look();
  if (!step) return;
  service.recorder.write(
      audit::Entry("finding").text("reason", "clock-stepped").number("milliseconds", step->count()),
      {});
}

awaitable<front::Response> deny(Context context, std::string_view kind, std::string_view reason,
                                std::string detail, const Problem& answer) {
  auto& service = context.service;
  const auto uid = context.exchange.process->facts().uid;
  const auto key = std::string(kind) + '/' + std::string(reason);
  const bool listed = context.caller != nullptr || context.admin;
  const auto who = listed ? audit::Recorder::Who::listed : audit::Recorder::Who::stranger;
  const auto now = audit::Recorder::Clock::now();
  if (!service.recorder.counts_as_repeat(uid, key, now, who)) {
    log(Level::notice, std::string(kind) + " (" + std::string(reason) + "): " + detail,
        context.exchange.correlation_id);
    // A denial that cannot be recorded is still a denial.
    const auto written = co_await durable(
        service, entry_about(kind, context).text("reason", reason).text("detail", detail));
    if (!written) {
      log(Level::error, written.error().what, context.exchange.correlation_id);
      service.recorder.not_written(uid, key, now, 1, who);
    }
  }
  co_return problem(answer, context.exchange.correlation_id);
}

}  // namespace badged::calls
