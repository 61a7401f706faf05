#include "daemon/peers/main_process.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <map>
#include <vector>

#include "daemon/peers/unit.h"
#include "daemon/peers/unit_manager.h"
#include "daemon/peers/workers.h"

namespace badged::peers {

namespace asio = boost::asio;

// All of it belongs to the I/O thread, except manager_, which is the worker's.
class MainProcesses::State : public std::enable_shared_from_this<State> {
 public:
  explicit State(asio::io_context& io) : io_(io) {}

  void confirm(std::shared_ptr<Process> process, Callback callback);
  void stop() { workers_.reset(); }

 private:
  using Clock = std::chrono::steady_clock;
  using Key = std::pair<std::string, std::string>;  // unit, InvocationID
  struct Known {
    MainProcessSeen seen;
    Clock::time_point asked;
  };
  struct Waiter {
    std::shared_ptr<Process> process;
    Callback callback;
  };

  // What is kept about the process' unit; null when the manager must be asked.
  const MainProcessSeen* kept(const Key& key, pid_t asking) const;
  static PeerResult<void> judge(Process& process, const MainProcessSeen& seen);
  bool ask(const Key& key);
  void answered(const Key& key, PeerResult<MainProcessSeen> seen);
  void keep(const Key& key, const MainProcessSeen& seen);

  asio::io_context& io_;
  std::map<Key, Known> known_;
  std::map<Key, std::vector<Waiter>> waiting_;
  UnitManager manager_;
  // Last: its thread is joined before what it uses is destroyed.
  std::unique_ptr<Workers> workers_ = std::make_unique<Workers>(1, kMaxManagerQueries);
};

MainProcesses::MainProcesses(asio::io_context& io) : state_(std::make_shared<State>(io)) {}

MainProcesses::~MainProcesses() {
  state_->stop();
}

void MainProcesses::confirm(std::shared_ptr<Process> process, Callback callback) {
  state_->confirm(std::move(process), std::move(callback));
}

void MainProcesses::State::confirm(std::shared_ptr<Process> process, Callback callback) {
  const ProcessFacts& facts = process->facts();
  if (!facts.unit) return callback(refuse(PeerRefusal::no_unit));
  const Key key{facts.unit.name, facts.unit.invocation_id};
  if (const MainProcessSeen* seen = kept(key, facts.pid)) return callback(judge(*process, *seen));
  auto& waiters = waiting_[key];
  if (waiters.size() >= kMaxWaitersPerQuery) return callback(refuse(PeerRefusal::busy));
  const bool first = waiters.empty();
  waiters.push_back({std::move(process), callback});
  if (!first || ask(key)) return;
  waiting_.erase(key);
  callback(refuse(PeerRefusal::busy));
}

const MainProcessSeen* MainProcesses::State::kept(const Key& key, pid_t asking) const {
  const auto found = known_.find(key);
  if (found == known_.end()) return nullptr;
  const MainProcessSeen& seen = found->second.seen;
  const bool welcome = seen.main_pid == asking && !seen.claimable;
  const auto age = Clock::now() - found->second.asked;
  // The role can move within an invocation, so a refusal is asked again, but not for every
  // subprocess that a stranger starts.
  return age < (welcome ? Clock::duration(kMainProcessKept) : Clock::duration(kMainProcessRetry))
             ? &seen
             : nullptr;
}

PeerResult<void> MainProcesses::State::judge(Process& process, const MainProcessSeen& seen) {
  const ProcessFacts& facts = process.facts();
  const std::string& invocation = facts.unit.invocation_id;
  // Last, so that it covers everything before: the pid that PID 1 named is still this process.
  if (seen.invocation_id != invocation || invocation_of(facts.unit.name) != invocation) {
    return refuse(PeerRefusal::unit_changed);
  }
  if (seen.claimable) return refuse(PeerRefusal::main_process_open);
  if (seen.main_pid == 0) return refuse(PeerRefusal::main_process_unset);
  if (seen.main_pid != facts.pid) return refuse(PeerRefusal::not_main_process);
  const Liveness liveness = process.check();
  if (liveness != Liveness::same) return refuse(liveness);
  return {};
}

bool MainProcesses::State::ask(const Key& key) {
  // The guard keeps the event loop up until the answer was posted to it.
  auto guard = std::make_shared<asio::executor_work_guard<asio::io_context::executor_type>>(
      asio::make_work_guard(io_));
  return workers_->submit([this, key, guard, weak = weak_from_this()] {
    asio::post(io_, [weak, key, seen = manager_.ask(key.first)] {
      if (const auto self = weak.lock()) self->answered(key, seen);
    });
  });
}

void MainProcesses::State::answered(const Key& key, PeerResult<MainProcessSeen> seen) {
  const auto node = waiting_.extract(key);
  if (node.empty()) return;
  if (seen) keep(key, *seen);
  for (const Waiter& waiter : node.mapped()) {
    waiter.callback(seen ? judge(*waiter.process, *seen) : PeerResult<void>(seen.error()));
  }
}

void MainProcesses::State::keep(const Key& key, const MainProcessSeen& seen) {
  if (seen.main_pid == 0) return;  // about to change
  const auto now = Clock::now();
  if (known_.size() >= kMaxMainProcesses) {
    std::erase_if(known_, [&](const auto& entry) {
      return now - entry.second.asked >= Clock::duration(kMainProcessKept);
    });
  }
  if (known_.size() >= kMaxMainProcesses) known_.clear();
  known_[key] = Known{seen, now};
}

}  // namespace badged::peers
