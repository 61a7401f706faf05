#include "keystore/memory_signer.h"

#include <algorithm>
#include <iterator>
#include <memory>

namespace badged::keystore {

MemorySigner::MemorySigner(Post post) : post_(std::move(post)), thread_([this] { run(); }) {}

MemorySigner::~MemorySigner() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void MemorySigner::sign(const MemoryKey& key, const Digest& digest, Sink<Signature> done) {
  auto lent = key.lend();
  if (!lent) return post_([done = std::move(done), error = lent.error()] { done(error); });
  bool group = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(*lent), digest, std::move(done)});
    group = !ready_ && waiting_.size() >= kGroup;
    if (group) ready_ = true;
  }
  if (group) wake_.notify_one();
}

bool MemorySigner::help() {
  std::unique_lock lock(mutex_);
  if (waiting_.empty()) return false;
  Job job = std::move(waiting_.front());
  waiting_.pop_front();
  const bool more = !waiting_.empty();
  ready_ = more;  // as it was, or nothing is left: two that wait have woken the signer
  lock.unlock();
  auto signature = job.key.sign_at_owner(job.digest);
  job.key = {};
  job.done(std::move(signature));
  return more;
}

std::vector<MemorySigner::Job> MemorySigner::take() {
  const auto count = std::min((waiting_.size() + 1) / 2, kGroup);
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Job> taken(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  ready_ = !waiting_.empty();
  return taken;
}

void MemorySigner::run() {
  for (;;) {
    auto batch = std::make_shared<std::vector<Job>>();
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || ready_; });
      if (waiting_.empty()) return;
      *batch = take();
    }
    for (auto& job : *batch) {
      job.signature = job.key.sign(job.digest);
      job.key = {};
    }
    post_([batch] {
      for (auto& job : *batch) job.done(std::move(job.signature));
    });
  }
}

}  // namespace badged::keystore
