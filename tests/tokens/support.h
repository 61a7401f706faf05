// Real stores, and coroutines run to their end on the test's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "daemon/tokens/issuing_keys.h"
#include "keystore/store.h"
#include "tests/keystore/support.h"
#include "tests/keystore/swtpm.h"
#include "tests/tokens/samples.h"

namespace badged::test {

// Of issuing keys: quick enough that a test can see one end.
inline constexpr tokens::KeySchedule kSchedule{
    std::chrono::seconds(300), std::chrono::seconds(3600), std::chrono::seconds(1800)};

class Loop {
 public:
  boost::asio::io_context io{1};

  // Runs the loop until `done` says so.
  void run_until(const std::function<bool()>& done) {
    while (!done()) REQUIRE(io.run_one_for(kPatience) == 1);
  }
  // Begins a coroutine; its result appears later.
  template <class T>
  std::shared_ptr<std::optional<T>> begin(boost::asio::awaitable<T> work) {
    auto result = std::make_shared<std::optional<T>>();
    boost::asio::co_spawn(io, std::move(work), [result](std::exception_ptr failure, T value) {
      if (failure) std::rethrow_exception(failure);
      *result = std::move(value);
    });
    return result;
  }
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    const auto result = begin(std::move(work));
    run_until([&] { return result->has_value(); });
    return std::move(**result);
  }

 private:
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{
      io.get_executor()};
};

enum class StoreKind { software, tpm };

// A store with its files, and a simulated TPM where it needs one; opened anew at will.
class StoreFixture {
 public:
  explicit StoreFixture(StoreKind kind) {
    if (kind == StoreKind::tpm) tpm_ = std::make_unique<Swtpm>();
    open();
  }
  void reopen() {
    store_.reset();
    open();
  }
  keystore::Store& store() { return *store_; }
  std::string path(const char* name) const { return directory_ / name; }

 private:
  void open() {
    const auto keys = path("keys");
    store_ =
        tpm_ ? keystore::open_tpm_store({tpm_->tcti(), keys}) : keystore::open_software_store(keys);
    StateWatch watch(*store_);
    REQUIRE(watch.reaches(keystore::Condition::ready));
  }
  TemporaryDirectory directory_;
  std::unique_ptr<Swtpm> tpm_;
  std::unique_ptr<keystore::Store> store_;
};

// In front of a real store: counts, holds answers back, or fails as a store may.
class Gate final : public keystore::Store {
 public:
  explicit Gate(keystore::Store& inner) : inner_(inner) {}

  bool hold_keys = false;               // create_key waits for release()
  std::optional<Error> fail_with;       // create_key, seal, unseal and sign
  std::optional<Error> fail_sign_with;  // sign alone
  int created = 0;
  int destroyed = 0;
  std::size_t held() const { return held_.size(); }
  void release() {
    for (const auto& start : std::exchange(held_, {})) start();
  }

  keystore::StoreState state() const override { return inner_.state(); }
  keystore::Custody custody() const override { return inner_.custody(); }
  Result<keystore::Identity> identity() const override { return inner_.identity(); }
  Result<keystore::StoredKey> issuer() const override { return inner_.issuer(); }
  void sign(keystore::KeyId key, const Digest& digest, keystore::Caller caller,
            keystore::Sink<Signature> done) override {
    if (fail_with) return done(*fail_with);
    if (fail_sign_with) return done(*fail_sign_with);
    inner_.sign(key, digest, caller, std::move(done));
  }
  void create_key(keystore::Caller caller, keystore::Sink<keystore::StoredKey> done) override {
    if (fail_with) return done(*fail_with);
    ++created;
    if (!hold_keys) return inner_.create_key(caller, std::move(done));
    held_.push_back([this, caller, done = std::move(done)] { inner_.create_key(caller, done); });
  }
  void destroy(keystore::KeyId key, std::function<void()> flushed) override {
    ++destroyed;
    inner_.destroy(key, std::move(flushed));
  }
  void quote(keystore::QuoteAsk ask, keystore::Caller caller,
             keystore::Sink<keystore::Quote> done) override {
    inner_.quote(std::move(ask), caller, std::move(done));
  }
  void seal(ByteView secret, keystore::Sink<Bytes> done) override {
    if (fail_with) return done(*fail_with);
    inner_.seal(secret, std::move(done));
  }
  void unseal(ByteView blob, keystore::Sink<Bytes> done) override {
    if (fail_with) return done(*fail_with);
    inner_.unseal(blob, std::move(done));
  }
  bool check_deadline() override { return inner_.check_deadline(); }
  void on_state(std::function<void(const keystore::StoreState&)> changed) override {
    inner_.on_state(std::move(changed));
  }

 private:
  keystore::Store& inner_;
  std::vector<std::function<void()>> held_;
};

}  // namespace badged::test
