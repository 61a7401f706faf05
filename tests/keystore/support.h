// Waiting for a store, and checking its signatures with OpenSSL alone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "keystore/store.h"

namespace badged::test {

// Long enough for a sanitized build on a busy machine; reached only when something hangs.
constexpr std::chrono::seconds kPatience{60};

// Follows a store's states from its first.
class StateWatch {
 public:
  explicit StateWatch(keystore::Store& store);
  // Waits until `condition` has been told since the last call.
  bool reaches(keystore::Condition condition);
  keystore::StoreState last() const;

 private:
  struct Shared {
    mutable std::mutex mutex;
    std::condition_variable changed;
    std::vector<keystore::StoreState> told;
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  keystore::StoreState reached_;
};

// Calls `start` with a sink and waits for what the sink is given.
template <class T, class Start>
Result<T> wait_for(Start start) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  start(keystore::Sink<T>([promise](Result<T> result) { promise->set_value(std::move(result)); }));
  if (future.wait_for(kPatience) != std::future_status::ready)
    return fail(Errc::internal, "wait for the store: no answer");
  return future.get();
}

Result<Signature> sign(keystore::Store& store, keystore::KeyId key, const Digest& digest,
                       keystore::Caller caller = keystore::kOwnWork);
Result<keystore::StoredKey> create_key(keystore::Store& store,
                                       keystore::Caller caller = keystore::kOwnWork);
Result<keystore::Quote> quote(keystore::Store& store, keystore::QuoteAsk ask,
                              keystore::Caller caller = keystore::kOwnWork);
Result<Bytes> seal(keystore::Store& store, ByteView secret);
Result<Bytes> unseal(keystore::Store& store, ByteView blob);
void destroy(keystore::Store& store, keystore::KeyId key);  // returns when it is flushed

// ECDSA over a digest, checked by OpenSSL from the 64 bytes.
bool verifies(const keystore::PublicKey& key, const Digest& digest, const Signature& signature);

}  // namespace badged::test
