#include "keystore/scheduler.h"

#include <openssl/crypto.h>
#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <vector>

#include "keystore/limits.h"

namespace badged::keystore {

namespace {

Error stopping() {
  return fail(Errc::unavailable, "use the key store: it is stopping");
}

std::thread start_without_signals(std::function<void()> body) {
  // Signals belong to the program's main thread; SIGPIPE of a dead TPM server must not end us.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

Scheduler::Scheduler(std::function<Duration()> idle)
    : idle_(std::move(idle)),
      idle_at_(std::chrono::steady_clock::now()),
      thread_(start_without_signals([this] { run(); })) {}

Scheduler::~Scheduler() {
  stop();
}

Result<void> Scheduler::submit(Caller caller, Job job) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return stopping();
  if (given_up_) return *given_up_;
  const std::size_t room =
      caller == kOwnWork ? limits::kQueue : limits::kQueue - limits::kQueueReserved;
  const auto own = queues_.find(caller);
  const std::size_t mine = own == queues_.end() ? 0 : own->second.size();
  if (queued_ >= room)
    return fail(Errc::busy, "queue work for the key store: its queue is full", "try again later");
  if (caller != kOwnWork && mine >= limits::kQueuePerCaller)
    return fail(Errc::busy, "queue work for the key store: this user has too much waiting",
                "try again later");
  if (mine == 0) turns_.push_back(caller);
  queues_[caller].push_back(std::move(job));
  ++queued_;
  wake_.notify_one();
  return ok();
}

void Scheduler::submit_urgent(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      urgent_.push_back(std::move(job));
      wake_.notify_one();
      return;
    }
  }
  const Error reason = stopping();
  job(&reason);
}

bool Scheduler::pause(Duration time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_until(lock, std::chrono::steady_clock::now() + time,
                           [this] { return stopping_; });
}

void Scheduler::idle_after(Duration time) {
  idle_at_ = std::chrono::steady_clock::now() + time;
}

Scheduler::Job Scheduler::next() {
  Job job;
  if (!urgent_.empty()) {
    job = std::move(urgent_.front());
    urgent_.pop_front();
    return job;
  }
  if (turns_.empty()) return job;
  const Caller caller = turns_.front();
  turns_.pop_front();
  const auto queue = queues_.find(caller);
  job = std::move(queue->second.front());
  queue->second.pop_front();
  --queued_;
  if (queue->second.empty())
    queues_.erase(queue);
  else
    turns_.push_back(caller);
  return job;
}

void Scheduler::begin(std::shared_ptr<Job> job) {
  busy_since_ = std::chrono::steady_clock::now();
  running_ = std::move(job);
}

void Scheduler::end() {
  busy_since_.reset();
  running_.reset();
  given_up_.reset();
}

void Scheduler::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (Job job = next()) {
      auto running = std::make_shared<Job>(std::move(job));
      begin(running);
      lock.unlock();
      (*running)(nullptr);
      lock.lock();
      end();
      lock.unlock();
      running.reset();  // what it captured goes while we hold no lock
      lock.lock();
      continue;
    }
    if (std::chrono::steady_clock::now() >= idle_at_) {
      begin(nullptr);
      lock.unlock();
      const Duration wait = idle_();
      lock.lock();
      end();
      idle_after(wait);
      continue;
    }
    wake_.wait_until(lock, idle_at_);
  }
}

bool Scheduler::give_up_after(Duration limit, const Error& reason) {
  std::shared_ptr<Job> running;
  std::vector<Job> waiting;
  {
    const std::lock_guard lock(mutex_);
    if (!busy_since_ || std::chrono::steady_clock::now() - *busy_since_ < limit) return false;
    given_up_ = reason;
    running = running_;
    for (auto& [caller, queue] : queues_)
      std::move(queue.begin(), queue.end(), std::back_inserter(waiting));
    queues_.clear();
    turns_.clear();
    queued_ = 0;
  }
  if (running) (*running)(&reason);
  for (const auto& job : waiting) job(&reason);
  return true;
}

void Scheduler::cancel_all() {
  const Error reason = stopping();
  std::unique_lock lock(mutex_);
  while (Job job = next()) {
    lock.unlock();
    job(&reason);
    job = nullptr;
    lock.lock();
  }
}

void Scheduler::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
  cancel_all();
}

StoreState StateBoard::get() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

bool StateBoard::ready() const {
  const std::lock_guard lock(mutex_);
  return state_.condition == Condition::ready;
}

void StateBoard::set(StoreState state) {
  {
    const std::lock_guard lock(mutex_);
    if (state.condition == state_.condition && state.message == state_.message) return;
    state_ = std::move(state);
  }
  tell();
}

void StateBoard::listen(std::function<void(const StoreState&)> changed) {
  const std::lock_guard lock(mutex_);
  changed_ = std::move(changed);
}

void StateBoard::tell() const {
  std::unique_lock lock(mutex_);
  const auto changed = changed_;
  const StoreState state = state_;
  lock.unlock();
  if (changed) changed(state);
}

SharedSecret share_secret(ByteView secret) {
  return SharedSecret(new Bytes(secret.begin(), secret.end()), [](const Bytes* held) {
    const std::unique_ptr<const Bytes> owner(held);
    OPENSSL_cleanse(const_cast<std::uint8_t*>(held->data()), held->size());
  });
}

}  // namespace badged::keystore
