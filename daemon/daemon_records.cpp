// The records in force: loaded at start, replaced as a whole by a reload.
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "daemon/agents/report.h"
#include "daemon/await.h"
#include "daemon/calls/recording.h"
#include "daemon/daemon.h"
#include "daemon/journal.h"

namespace badged {
namespace {

// What a reload read from disk.
struct Loaded {
  agents::TierRules rules;
  std::shared_ptr<const agents::RecordSet> records;
  std::shared_ptr<const tokens::SubjectIssuers> subject_issuers;
  agents::Diagnostics problems;
};

// Not an error: the issuer may come later, and until then the record gets nothing for it.
void warn_of_unknown_issuers(const agents::RecordSet& records, const tokens::SubjectIssuers& known,
                             const std::string& own_issuer, agents::Diagnostics& problems) {
  for (const auto& record : records.records())
    for (const auto& issuer : record->act_for)
      if (issuer != own_issuer && !known.knows(issuer))
        agents::Reporter(record->file, problems)
            .warn(record->at,
                  "'act_for' names an issuer without usable keys: " + agents::quoted(issuer),
                  "add a [[subject_issuer]] to badged.toml");
}

std::shared_ptr<Loaded> load_all(const std::string& config_file, const std::string& directory,
                                 const std::string& issuer,
                                 const agents::TierRules& rules_in_force) {
  auto config = config::load_config(config_file);
  auto loaded = std::make_shared<Loaded>();
  loaded->rules = config.config ? config.config->tiers : rules_in_force;
  const auto accounts = agents::host_accounts();
  auto report = agents::load_directory(directory, loaded->rules, *accounts);
  loaded->records = std::move(report.good);
  loaded->problems = std::move(config.problems);
  loaded->problems.insert(loaded->problems.end(), report.problems.begin(), report.problems.end());
  if (config.config)
    loaded->subject_issuers =
        tokens::SubjectIssuers::load(config.config->subject_issuers, config_file, loaded->problems);
  if (loaded->subject_issuers)
    warn_of_unknown_issuers(*loaded->records, *loaded->subject_issuers, issuer, loaded->problems);
  return loaded;
}

}  // namespace

using boost::asio::awaitable;

namespace {

audit::Entry outcome(audit::Entry entry, const calls::ReloadResult& result) {
  entry.text("result", result.changed ? "changed" : "refused");
  entry.number("agents", static_cast<std::int64_t>(result.agents));
  entry.number("problems", static_cast<std::int64_t>(result.problems.size()));
  return entry;
}

}  // namespace

void Daemon::load_records_at_start() {
  policy_.rules = config_.tiers;
  const auto accounts = agents::host_accounts();
  auto report = agents::load_directory(config_.agents_dir, policy_.rules, *accounts);
  policy_.records = std::move(report.good);
  policy_.problems = std::move(report.problems);
  policy_.subject_issuers =
      tokens::SubjectIssuers::load(config_.subject_issuers, config_.file, policy_.problems);
  warn_of_unknown_issuers(*policy_.records, *policy_.subject_issuers, config_.issuer,
                          policy_.problems);
  for (const auto& problem : policy_.problems) {
    log(Level::warning, agents::to_text(problem));
    if (problem.severity == agents::Severity::error)
      finding(problem.file == config_.file ? "bad-subject-issuer" : "bad-record",
              agents::where(problem) + ": " + problem.message);
  }
}

// Agents need no advice: their sessions ended with the last run, so they ask for new tokens anyway.
void Daemon::tell_of_lost_revocations() {
  if (revocations_->lost() == 0) return;
  const auto text =
      "state.db was removed, emptied or replaced, and with it what was revoked: each unexpired "
      "token that the audit log knows counts as revoked now (" +
      std::to_string(revocations_->lost()) + "); agents get new ones";
  warn(text);
  finding("revocations-lost", text);
}

awaitable<calls::ReloadResult> Daemon::reload(std::string who, audit::Entry entry) {
  calls::ReloadResult result;
  if (reloading_) {
    agents::Reporter(config_.file, result.problems)
        .error({}, "a reload is going on", "try again when it is done");
    const auto line = outcome(entry, result);
    result.recorded = co_await calls::durable(*service_, line);
    co_return result;
  }
  reloading_ = true;
  const auto loaded = co_await await_answer<std::shared_ptr<Loaded>>(
      io_, [this](Answer<std::shared_ptr<Loaded>> done) {
        boost::asio::post(
            loader_, [done = std::move(done), file = config_.file, directory = config_.agents_dir,
                      issuer = config_.issuer,
                      rules = policy_.rules] { done(load_all(file, directory, issuer, rules)); });
      });
  result.problems = loaded->problems;
  policy_.problems = loaded->problems;
  for (const auto& problem : result.problems) log(Level::warning, agents::to_text(problem));
  result.changed = !agents::has_errors(result.problems);
  result.agents = (result.changed ? loaded->records : policy_.records)->records().size();
  const auto line = outcome(entry, result);
  result.recorded = co_await calls::durable(*service_, line);
  reloading_ = false;
  if (!result.recorded) {
    log(Level::error, result.recorded.error().what);
    result.changed = false;
  }
  if (result.changed) {
    policy_.subject_issuers = std::move(loaded->subject_issuers);
    put_in_force(loaded->rules, std::move(loaded->records));
  }
  result.agents = policy_.records->records().size();
  log(result.changed ? Level::info : Level::error,
      result.changed ? "reloaded by " + who + ": " + std::to_string(result.agents) + " agents"
                     : "reload by " + who + " refused: the records in force stay");
  co_return result;
}

void Daemon::put_in_force(agents::TierRules rules,
                          std::shared_ptr<const agents::RecordSet> records) {
  const auto before = policy_.rules.limits;
  policy_.rules = std::move(rules);
  policy_.records = std::move(records);
  // A session was opened under its record; under another record it would carry what is gone.
  sessions_->retain([&](const tokens::Session& session) {
    const auto now = policy_.records->find(session.agent());
    return now != nullptr && agents::record_json(*now, policy_.rules.limits) ==
                                 agents::record_json(session.record(), before);
  });
  const auto is_gone = [this](const auto& entry) {
    return policy_.records->find(entry.first) == nullptr;
  };
  std::erase_if(service_->token_rates, is_gone);
  std::erase_if(service_->question_rates, is_gone);
  service_->subject_proofs.forget_agents(
      [this](const std::string& agent) { return policy_.records->find(agent) == nullptr; });
  clock_.accept();
}

}  // namespace badged
