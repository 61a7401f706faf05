// A thread that signs with keys in locked memory, for a caller that has other work meanwhile.
//
// A signature costs 25 us, a fifth of a request's way through one thread. Order is kept. Belongs to
// the thread that owns the keys; only `post` is called from the signer's own.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "keystore/memory_key.h"
#include "keystore/store.h"

namespace badged::keystore {

class MemorySigner {
 public:
  // Waking a thread costs a fifth of a signature; more at once, and the threads take turns where
  // they should work side by side.
  static constexpr std::size_t kGroup = 8;

  // Brings work back to the owner's thread: called once for all that was signed in one go.
  using Post = std::function<void(std::function<void()>)>;

  explicit MemorySigner(Post post);
  ~MemorySigner();  // signs what waits, then joins; the last answers are still posted
  MemorySigner(const MemorySigner&) = delete;
  MemorySigner& operator=(const MemorySigner&) = delete;

  // `key` may be destroyed meanwhile: its scalar is wiped when the signature is made. Not bounded
  // here: each request of a connection waits for its own, and connections are bounded.
  // Fewer than kGroup do not begin without wake(): whoever has asked for all that is ready calls
  // it.
  void sign(const MemoryKey& key, const Digest& digest, Sink<Signature> done);
  void wake();

 private:
  struct Job {
    MemoryKey::Lent key;
    Digest digest;
    Sink<Signature> done;
    Result<Signature> signature = fail(Errc::internal, "sign with a memory key");
  };
  void run();

  const Post post_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job> waiting_;
  bool ready_ = false;  // what waits is to be signed now
  bool stopping_ = false;
  std::thread thread_;  // last: starts when all else exists
};

}  // namespace badged::keystore
