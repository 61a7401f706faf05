#include "keystore/memory_signer.h"

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

void MemorySigner::wake() {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty() || ready_) return;
    ready_ = true;
  }
  wake_.notify_one();
}

void MemorySigner::run() {
  for (;;) {
    auto batch = std::make_shared<std::vector<Job>>();
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || ready_; });
      if (waiting_.empty()) return;
      batch->swap(waiting_);
      ready_ = false;
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
