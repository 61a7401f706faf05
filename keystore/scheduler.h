// The one thread of a store, and the bounded queue in front of it.
//
// Jobs run one at a time on the scheduler's thread: first urgent ones, then one job of each caller
// in turn, so that a caller who floods delays another by at most one job per caller. A Job is
// called with nullptr to do its work, or with the reason when the scheduler stops or gives it up
// first; given up while it works it is called with the reason meanwhile, from another thread, and
// what its work then brings is nobody's. Jobs must not throw. All members may be called from any
// thread unless said otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "keystore/result.h"
#include "keystore/store.h"

namespace badged::keystore {

class Scheduler {
 public:
  using Job = std::function<void(const Error* cancelled)>;
  using Duration = std::chrono::milliseconds;

  // `idle` runs on the thread at start, and again when nothing is queued and the time it returned
  // has passed. Signals are blocked on the thread.
  explicit Scheduler(std::function<Duration()> idle);
  ~Scheduler();  // stop()
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Errc::busy at once when the caller's share or the queue is full, Errc::unavailable after
  // stop(). On failure `job` is not called.
  Result<void> submit(Caller caller, Job job);
  // Runs before everything queued, and is never refused: the number of such jobs is bounded by what
  // they clean up. After stop() it is called at once, with the reason.
  void submit_urgent(Job job);

  // On the scheduler's thread only: waits, or returns false at once when the scheduler is stopping.
  bool pause(Duration time);

  // On the scheduler's thread only: runs `idle` after this time instead of what it last returned.
  void idle_after(Duration time);

  // When the thread has been busy with one thing for `limit`: calls that job and all that is queued
  // with `reason`, refuses new work with it until the thread is free, and returns true. Not from
  // the scheduler's thread.
  bool give_up_after(Duration limit, const Error& reason);

  // Refuses new work, ends the running job's pauses, joins, cancels what is queued. Idempotent; not
  // from the scheduler's thread.
  void stop();

 private:
  void run();
  Job next();                            // mutex_ held; an empty Job when there is none
  void begin(std::shared_ptr<Job> job);  // mutex_ held; null: idle()
  void end();                            // mutex_ held
  void cancel_all();

  std::function<Duration()> idle_;
  std::chrono::steady_clock::time_point idle_at_;  // of the scheduler's thread
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::deque<Job> urgent_;
  std::map<Caller, std::deque<Job>> queues_;
  std::deque<Caller> turns_;  // each caller with a queue once, next first
  std::size_t queued_ = 0;    // without urgent jobs
  std::optional<std::chrono::steady_clock::time_point> busy_since_;
  std::shared_ptr<Job> running_;
  std::optional<Error> given_up_;  // why new work is refused while the thread hangs
  std::thread thread_;             // last: starts when all else exists
};

// Queues `work` (Result<T>()) and gives `done` its result, or the reason why it did not run or was
// given up: one of them. A result that comes after that goes to `discard`, on the scheduler's
// thread.
template <class T, class Work>
void enqueue(Scheduler& scheduler, Caller caller, Sink<T> done, Work work,
             std::function<void(const T&)> discard = {}) {
  auto answered = std::make_shared<std::atomic<bool>>(false);
  auto job = [done, work = std::move(work), answered = std::move(answered),
              discard = std::move(discard)](const Error* reason) {
    if (reason != nullptr) {
      if (!answered->exchange(true)) done(*reason);
      return;
    }
    auto result = work();
    if (!answered->exchange(true)) return done(std::move(result));
    if (result && discard) discard(*result);
  };
  if (auto queued = scheduler.submit(caller, std::move(job)); !queued) done(queued.error());
}

// The state of a store, and who is told of its changes.
class StateBoard {
 public:
  StoreState get() const;
  bool ready() const;
  // Keeps `state`; tells the listener, on the calling thread, when it differs from the last.
  void set(StoreState state);
  void listen(std::function<void(const StoreState&)> changed);
  // Tells the listener the state as it is.
  void tell() const;

 private:
  mutable std::mutex mutex_;
  StoreState state_;
  std::function<void(const StoreState&)> changed_;
};

// Bytes that are wiped when the last holder lets go: a secret waiting in the queue.
using SharedSecret = std::shared_ptr<const Bytes>;
SharedSecret share_secret(ByteView secret);

}  // namespace badged::keystore
