#include "daemon/daemon.h"

#include <grp.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <csignal>

#include "daemon/agents/report.h"
#include "daemon/await.h"
#include "daemon/calls/admin_peer.h"
#include "daemon/calls/recording.h"
#include "daemon/front/listener.h"
#include "daemon/journal.h"
#include "daemon/tokens/limits.h"
#include "keystore/files.h"
#include "keystore/memory_key.h"

namespace badged {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

// A TPM that has to make its keys takes longer; badged then serves what needs none and says so.
constexpr auto kStoreStart = 20s;
// Longer than any TPM takes for a signature or a key, its own self tests included.
constexpr auto kStuck = 60s;
constexpr auto kTroubleAgain = 60s;       // accepting may fail ten times a second for hours
constexpr std::size_t kMaxTroubles = 64;  // the texts are ours, with one of errno's in them
constexpr int kCheckpointEvery = 60;      // turns of upkeep, a second each

template <class T>
T must(Result<T> result) {
  return std::move(result).value();
}

void must(Result<void> result) {
  result.value();
}

std::unique_ptr<keystore::Store> open_store(const config::Config& config) {
  const auto directory = config.state_dir + "/keys";
  if (config.keystore.kind == config::StoreKind::software)
    return keystore::open_software_store(directory);
  return keystore::open_tpm_store({config.keystore.tcti, directory});
}

tokens::Host host_of(const config::Config& config) {
  return {config.issuer, config.trust_domain, config.host};
}

void make_state_directory(const std::string& path) {
  for (auto slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1))
    ::mkdir(path.substr(0, slash).c_str(), 0755);  // one that stands is checked by its user below
  must(keystore::prepare_private_directory(path));
}

}  // namespace

Daemon::Daemon(config::Config config)
    : config_(std::move(config)),
      terminate_(io_, SIGTERM, SIGINT),
      hangup_(io_, SIGHUP),
      ticker_(io_),
      upkeep_(io_),
      review_(io_),
      store_change_(io_, asio::steady_timer::time_point::max()) {
  std::signal(SIGPIPE, SIG_IGN);
  make_state_directory(config_.state_dir);
  keystore::reserve_locked_memory(tokens::limits::kLockedMemory);
  state_ = must(audit::StateDb::open(config_.state_dir + "/state.db"));
  audit::Recovery recovery;
  log_ = must(audit::Log::open(
      config_.state_dir + "/audit.jsonl", *state_,
      [this](std::function<void()> work) { asio::post(io_, std::move(work)); }, recovery));
  recorder_ = std::make_unique<audit::Recorder>(*log_);
  for (const auto& found : recovery.findings) {
    warn(found);
    finding("audit-log", found);
  }
  load_records_at_start();
  if (config_.keystore.kind == config::StoreKind::software)
    warn("the key store is SOFTWARE, for development only: every token says so");
  must(keystore::prepare_private_directory(config_.state_dir + "/keys"));
  store_ = open_store(config_);
  store_->on_state([this](const keystore::StoreState& state) {
    asio::post(io_, [this, state] { note_store_state(state); });
  });
  census_ = std::make_unique<peers::Census>(io_);
  admissions_ = std::make_unique<calls::Admissions>(io_);
  epochs_ = std::make_unique<tokens::Epochs>(*state_);
  const tokens::KeySchedule schedule{config_.tokens.jwks_cache, config_.tokens.issuing_key_lifetime,
                                     agents::kMaxDuration};
  issuing_keys_ = std::make_unique<tokens::IssuingKeys>(
      io_, *store_, config_.state_dir + "/keys/issuing.json", schedule);
  memory_signing_ = std::make_unique<tokens::MemorySigning>(io_);
  publisher_ =
      std::make_unique<tokens::Publisher>(host_of(config_), config_.state_dir + "/publish");
  revocations_ = std::make_unique<tokens::Revocations>(
      io_, must(tokens::StatusStore::open(config_.state_dir + "/state.db")), *epochs_,
      *issuing_keys_, config_.issuer,
      tokens::Revocations::Files{config_.state_dir + "/audit.jsonl",
                                 config_.state_dir + "/publish/status.jwt"},
      calls::unix_now());
  tell_of_lost_revocations();
  sessions_ = std::make_unique<tokens::Sessions>(
      io_, *store_, [this](const tokens::Session& session, const char* why) {
        recorder_->write(audit::Entry("session-end")
                             .text("agent", session.agent())
                             .text("session", session.id())
                             .text("reason", why),
                         {});
      });
  evidence_ = std::make_unique<calls::EvidenceWork>(io_, calls::host_log_paths(config_));
  service_.reset(new calls::Service{io_,
                                    config_,
                                    *store_,
                                    *census_,
                                    policy_,
                                    *admissions_,
                                    *sessions_,
                                    *issuing_keys_,
                                    *memory_signing_,
                                    *publisher_,
                                    *epochs_,
                                    *revocations_,
                                    *log_,
                                    *recorder_,
                                    clock_,
                                    *evidence_,
                                    host_of(config_),
                                    [this](std::string who, audit::Entry entry) {
                                      return reload(std::move(who), std::move(entry));
                                    },
                                    [this] { return server_->counts(); },
                                    warnings_,
                                    calls::unix_now(),
                                    {},
                                    {}});
  server_ = std::make_unique<front::Server>(
      io_, *census_, calls::shapes(),
      front::Hooks{
          [this](front::Exchange exchange) {
            return calls::dispatch(*service_, std::move(exchange));
          },
          [this](const peers::ProcessFacts& facts) { return policy_.records->knows(facts); },
          [this] { return policy_.records->names_units(); },
          [this](peers::Refusal refusal, std::uint32_t uid, std::string id) {
            return calls::refused(*service_, std::move(refusal), uid, std::move(id));
          },
          [this](const std::string& text) { trouble(text); }});
}

Daemon::~Daemon() {
  review_stop_.request_stop();
}

int Daemon::run() {
  const auto keep = [this](std::exception_ptr failure) {
    if (failure && !failure_) failure_ = failure;
    if (failure) io_.stop();
  };
  asio::co_spawn(io_, start(), keep);
  io_.run();
  if (failure_) std::rethrow_exception(failure_);
  close_store();
  return 0;
}

awaitable<void> Daemon::start() {
  const auto keep = [this](std::exception_ptr failure) {
    if (failure && !failure_) failure_ = failure;
    if (failure) io_.stop();
  };
  terminate_.async_wait([this, keep](boost::system::error_code error, int) {
    if (!error) asio::co_spawn(io_, stop(), keep);
  });
  asio::co_spawn(io_, hangup_loop(), keep);
  recorder_->write(audit::Entry("start").text("host", config_.host), {});
  co_await wait_for_store();
  co_await keep_issuing_keys(calls::unix_now());
  co_await keep_status_list(calls::unix_now());
  if (stopping_) co_return;
  open_sockets();
  census_->start_sweeping();
  asio::co_spawn(io_, tick_loop(), keep);
  asio::co_spawn(io_, upkeep_loop(), keep);
  asio::co_spawn(io_, review_loop(), keep);
  const auto state = store_->state();
  manager_.ready(state.condition == keystore::Condition::ready
                     ? "serving " + std::to_string(policy_.records->records().size()) + " agents"
                     : "key store " + std::string(to_string(state.condition)) + ": " +
                           state.message);
  log(Level::info, "ready: " + std::to_string(policy_.records->records().size()) +
                       " agents, key store " + to_string(state.condition));
}

awaitable<void> Daemon::wait_for_store() {
  asio::steady_timer deadline(io_, kStoreStart);
  deadline.async_wait([this](boost::system::error_code error) {
    if (!error) store_change_.cancel();
  });
  if (store_->state().condition == keystore::Condition::starting) {
    boost::system::error_code ignored;
    co_await store_change_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

void Daemon::note_store_state(const keystore::StoreState& state) {
  if (state.condition == keystore::Condition::starting) return;
  store_change_.cancel();
  const bool ready = state.condition == keystore::Condition::ready;
  const auto text = "key store " + std::string(to_string(state.condition)) +
                    (state.message.empty() ? "" : ": " + state.message) +
                    (state.hint.empty() ? "" : " (" + state.hint + ")");
  log(ready ? Level::info : Level::warning, text);
  finding("key-store-" + std::string(to_string(state.condition)), state.message);
  manager_.status(ready ? "serving" : text);
}

void Daemon::open_sockets() {
  const auto* group = ::getgrnam(calls::kAdminGroup);
  if (group == nullptr)
    warn(
        "there is no group badged-admin: the admin socket is root's alone (make the group with "
        "`systemd-sysusers` or `groupadd --system badged-admin`, then restart)");
  const front::SocketPlan agent{"agent", config_.agent_socket, 0666, 0755, std::nullopt};
  front::SocketPlan admin{"admin", config_.admin_socket, 0600, 0700, std::nullopt};
  if (group != nullptr) admin = {"admin", config_.admin_socket, 0660, 0750, group->gr_gid};
  for (const auto& [plan, kind] :
       {std::pair(admin, front::Socket::admin), std::pair(agent, front::Socket::agent)}) {
    auto passed = must(front::adopt_socket(plan));
    auto listener = passed ? std::move(*passed) : must(front::bind_socket(plan));
    must(peers::prepare_listener(listener.get()));
    server_->listen(kind, std::move(listener));
  }
}

awaitable<void> Daemon::tick_loop() {
  boost::system::error_code error;
  // While it stops, too: what waits for a TPM that hangs must be answered.
  while (!error) {
    ticker_.expires_after(1s);
    co_await ticker_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (!error) tick();
  }
}

void Daemon::tick() {
  store_->check_deadline();
  // What hangs in upkeep in spite of that is systemd's to end: its watchdog then misses us and
  // starts badged anew.
  if (std::chrono::steady_clock::now() - last_upkeep_ < kStuck) manager_.alive();
  server_->sweep();
  sessions_->sweep();
  admissions_->sweep();
  recorder_->flush(audit::Recorder::Clock::now());
  calls::watch_clock(*service_);
}

awaitable<void> Daemon::upkeep_loop() {
  boost::system::error_code error;
  for (int turn = 1; !stopping_; turn = turn % kCheckpointEvery + 1) {
    upkeep_.expires_after(1s);
    co_await upkeep_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (stopping_) co_return;
    last_upkeep_ = std::chrono::steady_clock::now();
    co_await keep_status_list(calls::unix_now());
    co_await keep_issuing_keys(calls::unix_now());
    if (turn < kCheckpointEvery) continue;
    sessions_->rest_idle_keys();
    co_await checkpoint();
  }
}

awaitable<void> Daemon::keep_issuing_keys(std::int64_t now) {
  if (store_->state().condition != keystore::Condition::ready) co_return;
  const auto kept = co_await try_issuing_keys(now);
  if (note_problem(issuing_problem_, kept)) manager_.status(kept ? "serving" : issuing_problem_);
}

awaitable<Result<void>> Daemon::try_issuing_keys(std::int64_t now) {
  if (!issuing_keys_open_) {
    auto opened = co_await issuing_keys_->open(now);
    if (!opened) co_return opened;
    issuing_keys_open_ = true;
  }
  const auto changed = co_await issuing_keys_->rotate(now);
  // Files that could not be written stay due: a web server would go on serving the old keys.
  if (changed && *changed) published_ = false;
  if (!published_ || !publisher_->stands()) {
    auto published = publisher_->refresh(*issuing_keys_, *store_);
    if (!published) co_return published;
    published_ = true;
  }
  if (!changed) co_return changed.error();
  co_return ok();
}

awaitable<void> Daemon::keep_status_list(std::int64_t now) {
  const auto kept = co_await revocations_->upkeep(now, published_);
  note_problem(status_problem_, kept);
}

awaitable<void> Daemon::hangup_loop() {
  boost::system::error_code error;
  while (!stopping_) {
    co_await hangup_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (error || stopping_) co_return;
    manager_.reloading();
    audit::Entry entry("reload");
    entry.text("by", "SIGHUP");
    const auto result = co_await reload("SIGHUP", entry);
    manager_.ready(result.changed ? "serving " + std::to_string(result.agents) + " agents"
                                  : "serving the records from before: the last reload was refused");
  }
}

void Daemon::warn(std::string text) {
  log(Level::warning, text);
  warnings_.push_back(std::move(text));
}

bool Daemon::note_problem(std::string& noted, const Result<void>& kept) {
  std::string problem;
  if (!kept) {
    const auto& error = kept.error();
    problem = error.what + (error.hint.empty() ? "" : " (" + error.hint + ')');
  }
  if (problem == noted) return false;
  if (const auto old = std::find(warnings_.begin(), warnings_.end(), noted); old != warnings_.end())
    warnings_.erase(old);
  noted = std::move(problem);
  if (!noted.empty()) {
    log(Level::error, noted);
    warnings_.push_back(noted);
  }
  return true;
}

void Daemon::trouble(const std::string& text) {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(told_, [now](const auto& entry) { return now - entry.second >= kTroubleAgain; });
  if (told_.size() < kMaxTroubles && told_.emplace(text, now).second) log(Level::warning, text);
}

void Daemon::finding(std::string_view reason, std::string_view detail) {
  recorder_->write(audit::Entry("finding").text("reason", reason).text("detail", detail), {});
}

}  // namespace badged
