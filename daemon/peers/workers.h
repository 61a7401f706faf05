// A few threads for calls that may block, with a bounded queue.
//
// submit() may be called from any thread; jobs must not throw. The destructor drops what waits and
// joins what runs: jobs that take long look at stopping().
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace badged::peers {

class Workers {
 public:
  Workers(int threads, std::size_t max_queue);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False: the queue is full, and the job will not run.
  bool submit(std::function<void()> job);
  const std::atomic<bool>& stopping() const { return stopping_; }

 private:
  void run();

  const std::size_t max_queue_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;  // guards queue_
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
};

}  // namespace badged::peers
