// A thread that signs with keys in locked memory, for a caller that has other work meanwhile, and
// that may help when it has none.
//
// A signature costs 25 us, as much as all the rest of a request. Belongs to the thread that owns
// the keys; only `post` is called from the signer's own.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "keystore/memory_key.h"
#include "keystore/store.h"

namespace badged::keystore {

class MemorySigner {
 public:
  // The signer begins when so many wait, and takes at most so many at a time. More, and the owner
  // waits where both should work; fewer, and waking a thread (a fifth of a signature) is dear.
  static constexpr std::size_t kGroup = 2;
  static_assert(kGroup == 2);  // or help() must wake the signer too

  // Brings work back to the owner's thread: called once for all that was signed in one go.
  using Post = std::function<void(std::function<void()>)>;

  explicit MemorySigner(Post post);
  ~MemorySigner();  // signs what waits, then joins; the last answers are still posted
  MemorySigner(const MemorySigner&) = delete;
  MemorySigner& operator=(const MemorySigner&) = delete;

  // `key` may be destroyed meanwhile: its scalar is wiped when the signature is made. Not bounded
  // here: each request of a connection waits for its own, and connections are bounded.
  // One that waits alone is left to help(): whoever has asked for all that is ready calls it.
  void sign(const MemoryKey& key, const Digest& digest, Sink<Signature> done);
  // The owner signs the one that waits longest, on its own thread, and calls its `done`; the signer
  // sees to the others meanwhile. Whether others waited.
  bool help();

 private:
  struct Job {
    MemoryKey::Lent key;
    Digest digest;
    Sink<Signature> done;
    Result<Signature> signature = fail(Errc::internal, "sign with a memory key");
  };
  void run();
  std::vector<Job> take();  // mutex_ held

  const Post post_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> waiting_;
  bool ready_ = false;  // what waits is to be signed now
  bool stopping_ = false;
  std::thread thread_;  // last: starts when all else exists
};

}  // namespace badged::keystore
