#include "daemon/peers/executable_digest.h"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <tuple>
#include <vector>

#include "daemon/peers/executable_file.h"
#include "daemon/peers/workers.h"

namespace badged::peers {

namespace asio = boost::asio;

namespace {

struct ByFile {
  bool operator()(const FileId& a, const FileId& b) const {
    return std::tie(a.device, a.inode, a.ctime_ns) < std::tie(b.device, b.inode, b.ctime_ns);
  }
};

}  // namespace

// All of it belongs to the I/O thread, except files_read_. Workers get duplicates of descriptors,
// never a Process.
class ExecutableDigests::State : public std::enable_shared_from_this<State> {
 public:
  State(asio::io_context& io, DigestOptions options)
      : io_(io),
        options_(options),
        workers_(std::make_unique<Workers>(options.workers, options.max_queue)) {}

  void digest(std::shared_ptr<Process> process, Callback callback);
  void stop() {
    workers_.reset();
    readings_.clear();
  }
  std::uint64_t files_read() const { return *files_read_; }

 private:
  struct Waiter {
    std::shared_ptr<Process> process;
    Callback callback;
  };
  struct Reading {
    explicit Reading(asio::io_context& io) : deadline(io) {}
    std::vector<Waiter> waiters;
    asio::steady_timer deadline;
  };
  struct Kept {
    Digest digest;
    std::uint64_t used = 0;
  };

  bool submit(const FileId& file, const Process& process);
  void start_deadline(const FileId& file, Reading& reading);
  void deadline_passed(const FileId& file);
  void finished(const FileId& file, const PeerResult<HashedFile>& hashed);
  bool try_next(const FileId& file, Reading& reading);
  void keep(const HashedFile& hashed);
  static void answer(const Waiter& waiter, const PeerResult<Digest>& result);

  asio::io_context& io_;
  const DigestOptions options_;
  std::map<FileId, std::unique_ptr<Reading>, ByFile> readings_;
  std::map<FileId, Kept, ByFile> kept_;
  std::uint64_t uses_ = 0;
  std::shared_ptr<std::atomic<std::uint64_t>> files_read_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
  std::unique_ptr<Workers> workers_;
};

ExecutableDigests::ExecutableDigests(asio::io_context& io, DigestOptions options)
    : state_(std::make_shared<State>(io, options)) {}

ExecutableDigests::~ExecutableDigests() {
  state_->stop();
}

void ExecutableDigests::digest(std::shared_ptr<Process> process, Callback callback) {
  state_->digest(std::move(process), std::move(callback));
}

std::uint64_t ExecutableDigests::files_read() const {
  return state_->files_read();
}

// Every answer is given after a check of the process that it is for.
void ExecutableDigests::State::answer(const Waiter& waiter, const PeerResult<Digest>& result) {
  const Liveness liveness = waiter.process->check();
  if (liveness != Liveness::same) return waiter.callback(refuse(liveness));
  if (result) waiter.process->digest_ = *result;
  waiter.callback(result);
}

void ExecutableDigests::State::digest(std::shared_ptr<Process> process, Callback callback) {
  const Waiter waiter{std::move(process), std::move(callback)};
  if (waiter.process->digest_) return answer(waiter, *waiter.process->digest_);
  const FileId file = waiter.process->facts().executable_id;
  if (const auto found = kept_.find(file); found != kept_.end()) {
    found->second.used = ++uses_;
    return answer(waiter, found->second.digest);
  }
  const auto under_way = readings_.find(file);
  if (under_way != readings_.end()) {
    Reading& reading = *under_way->second;
    // No waiters: its deadline has passed while the worker is still at it.
    const bool hopeless = reading.waiters.empty();
    if (hopeless || reading.waiters.size() >= kMaxWaitersPerQuery) {
      return answer(waiter, refuse(PeerRefusal::busy));
    }
    reading.waiters.push_back(waiter);
    return;
  }
  if (!submit(file, *waiter.process)) return answer(waiter, refuse(PeerRefusal::busy));
  auto reading = std::make_unique<Reading>(io_);
  reading->waiters.push_back(waiter);
  start_deadline(file, *reading);
  readings_.emplace(file, std::move(reading));
}

bool ExecutableDigests::State::submit(const FileId& file, const Process& process) {
  auto directory = std::make_shared<OwnedFd>(process.duplicate_directory());
  if (!*directory) return false;
  // The guard keeps the event loop up until the answer was posted to it.
  auto guard = std::make_shared<asio::executor_work_guard<asio::io_context::executor_type>>(
      asio::make_work_guard(io_));
  // References, not this: a worker must not be the last to hold the State.
  return workers_->submit([&io = io_, &stopping = workers_->stopping(), counter = files_read_,
                           weak = weak_from_this(), file, directory, guard] {
    ++*counter;
    asio::post(io, [weak, file, hashed = hash_executable(directory->get(), file, stopping)] {
      if (const auto self = weak.lock()) self->finished(file, hashed);
    });
  });
}

void ExecutableDigests::State::start_deadline(const FileId& file, Reading& reading) {
  reading.deadline.expires_after(options_.deadline);
  reading.deadline.async_wait(
      [weak = weak_from_this(), file](const boost::system::error_code& error) {
        const auto self = error ? nullptr : weak.lock();
        if (self) self->deadline_passed(file);
      });
}

void ExecutableDigests::State::deadline_passed(const FileId& file) {
  const auto found = readings_.find(file);
  if (found == readings_.end()) return;
  // The entry stays until the worker is done: nobody queues the same file behind it.
  const auto waiters = std::exchange(found->second->waiters, {});
  for (const Waiter& waiter : waiters) answer(waiter, refuse(PeerRefusal::busy));
}

void ExecutableDigests::State::finished(const FileId& file, const PeerResult<HashedFile>& hashed) {
  const auto found = readings_.find(file);
  if (found == readings_.end()) return;
  // The file was reached through one of the waiting processes. Its end is not the others'.
  const bool lost = !hashed && (hashed.error().reason == PeerRefusal::process_exited ||
                                hashed.error().reason == PeerRefusal::process_unreadable);
  if (lost && try_next(file, *found->second)) return;
  const auto reading = std::move(found->second);
  readings_.erase(found);
  if (hashed) keep(*hashed);
  const auto result =
      hashed ? PeerResult<Digest>(hashed->digest) : PeerResult<Digest>(hashed.error());
  for (const Waiter& waiter : reading->waiters) answer(waiter, result);
}

bool ExecutableDigests::State::try_next(const FileId& file, Reading& reading) {
  if (reading.waiters.size() < 2) return false;
  const Waiter gone = std::move(reading.waiters.front());
  reading.waiters.erase(reading.waiters.begin());
  const bool submitted = submit(file, *reading.waiters.front().process);
  answer(gone, refuse(PeerRefusal::process_exited));
  return submitted;
}

void ExecutableDigests::State::keep(const HashedFile& hashed) {
  if (!hashed.may_keep) return;
  if (kept_.size() >= kMaxDigests) {
    kept_.erase(std::min_element(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) {
      return a.second.used < b.second.used;
    }));
  }
  kept_[hashed.id] = Kept{hashed.digest, ++uses_};
}

}  // namespace badged::peers
