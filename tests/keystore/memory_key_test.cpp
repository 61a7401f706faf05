#include "keystore/memory_key.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "keystore/memory_signer.h"
#include "keystore/random.h"
#include "keystore/sha256.h"
#include "tests/keystore/result_printer.h"
#include "tests/keystore/support.h"

namespace badged::test {

using namespace keystore;

namespace {

Digest digest_of(int number) {
  return sha256(as_bytes(std::to_string(number)));
}

}  // namespace

TEST_CASE("computes SHA-256 of FIPS 180-4's examples, whole and in pieces", "[memory]") {
  const Digest abc = sha256(as_bytes("abc"));
  CHECK(abc[0] == 0xBA);
  CHECK(abc[31] == 0xAD);
  Sha256 pieces;
  pieces.update(as_bytes("a")).update({}).update(as_bytes("bc"));
  CHECK(pieces.finish() == abc);
}

TEST_CASE("signs with a memory key so that OpenSSL agrees, short r and s included", "[memory]") {
  const MemoryKey key = MemoryKey::generate().value();
  int short_ones = 0;
  int bad = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto signature = key.sign(digest_of(i));
    REQUIRE(signature);
    if ((*signature)[0] == 0 || (*signature)[32] == 0) ++short_ones;
    if (!verifies(key.public_key(), digest_of(i), *signature)) ++bad;
  }
  CHECK(bad == 0);
  CHECK(short_ones > 0);
}

TEST_CASE("brings a memory key back from its scalar", "[memory]") {
  const MemoryKey key = MemoryKey::generate().value();
  const auto scalar = key.export_scalar().value();
  const MemoryKey again = MemoryKey::from_scalar(scalar->bytes).value();
  CHECK(again.public_key() == key.public_key());
  CHECK(verifies(key.public_key(), digest_of(1), again.sign(digest_of(1)).value()));
}

TEST_CASE("refuses scalars outside the group", "[memory]") {
  const auto code = [](const Bytes& scalar) { return MemoryKey::from_scalar(scalar).error().code; };
  CHECK(code(Bytes(32)) == Errc::malformed);
  CHECK(code(Bytes(32, 0xFF)) == Errc::malformed);
  CHECK(code(Bytes(31, 1)) == Errc::malformed);
  CHECK(code(Bytes(33, 1)) == Errc::malformed);
  // The order of P-256 itself (FIPS 186-4 D.1.2.3), and one less.
  Bytes order{0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF,
              0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17,
              0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51};
  CHECK(code(order) == Errc::malformed);
  order.back() -= 1;
  CHECK(MemoryKey::from_scalar(order));
}

TEST_CASE("keeps scalars in the locked heap and gives the space back", "[memory]") {
  const std::size_t before = locked_memory_used();
  {
    std::vector<MemoryKey> keys;
    for (int i = 0; i < 100; ++i) keys.push_back(MemoryKey::generate().value());
    CHECK(locked_memory_used() == before + 100 * 32);
    for (const auto& key : keys) CHECK(key.sign(digest_of(1)));
    CHECK(locked_memory_used() == before + 100 * 96);
    for (const auto& key : keys) key.rest();
    CHECK(locked_memory_used() == before + 100 * 32);
    CHECK(verifies(keys[5].public_key(), digest_of(2), keys[5].sign(digest_of(2)).value()));
  }
  CHECK(locked_memory_used() == before);
}

TEST_CASE("says exhausted when the locked heap is full, and works when there is room again",
          "[memory]") {
  std::vector<MemoryKey> keys;
  Errc code = Errc::internal;
  for (;;) {
    auto key = MemoryKey::generate();
    if (!key) {
      code = key.error().code;
      break;
    }
    keys.push_back(std::move(*key));
  }
  CHECK(keys.size() > 10000);
  CHECK(code == Errc::exhausted);
  CHECK_FALSE(keys.back().sign(digest_of(1)));  // never in unlocked memory
  keys.clear();
  CHECK(MemoryKey::generate().value().sign(digest_of(1)));
}

TEST_CASE("wipes a lent key when the last of its users is done, not before", "[memory]") {
  const std::size_t before = locked_memory_used();
  std::optional<MemoryKey> key = MemoryKey::generate().value();
  const PublicKey public_key = key->public_key();
  std::optional<MemoryKey::Lent> lent = key->lend().value();
  key->rest();  // does nothing to a key that is lent
  key.reset();
  CHECK(locked_memory_used() > before);
  CHECK(verifies(public_key, digest_of(1), lent->sign(digest_of(1)).value()));
  lent.reset();
  CHECK(locked_memory_used() == before);
}

namespace {

// The signer's own answers come on its thread, those of help() on this one.
struct Signing {
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<std::size_t> answered{0}, posts{0}, helped{0};
  std::size_t wanted = 0;
  const std::thread::id owner = std::this_thread::get_id();
  MemoryKey key = MemoryKey::generate().value();
  MemorySigner signer{[this](std::function<void()> work) {
    work();
    const std::lock_guard lock(mutex);
    ++posts;
    changed.notify_one();
  }};

  void sign(std::size_t count) {
    wanted += count;
    for (std::size_t i = 0; i < count; ++i)
      signer.sign(key, digest_of(1), [this](Result<Signature> made) {
        helped += std::this_thread::get_id() == owner ? 1 : 0;
        answered += made && verifies(key.public_key(), digest_of(1), *made) ? 1 : 0;
      });
  }
  bool all_answered() {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, [this] { return answered == wanted; });
  }
};

}  // namespace

TEST_CASE("leaves one that waits alone to its owner", "[memory]") {
  Signing signing;
  CHECK_FALSE(signing.signer.help());  // with nothing to sign
  for (std::size_t round = 1; round <= 100; ++round) {
    signing.sign(1);
    CHECK_FALSE(signing.signer.help());
    REQUIRE(signing.answered == round);
  }
  CHECK(signing.posts == 0);
}

TEST_CASE("begins to sign when a group waits, however much its owner helped before", "[memory]") {
  Signing signing;
  for (int round = 0; round < 500; ++round) {
    signing.sign(MemorySigner::kGroup);
    REQUIRE(signing.all_answered());
    signing.sign(MemorySigner::kGroup);
    while (signing.signer.help()) {
    }
  }
  REQUIRE(signing.all_answered());
}

TEST_CASE("signs what waits beside its owner's one", "[memory]") {
  Signing signing;
  for (int round = 0; round < 200; ++round) {
    signing.sign(1 + MemorySigner::kGroup * 3);
    signing.signer.help();
    REQUIRE(signing.all_answered());
  }
  CHECK(signing.helped > 0);
  CHECK(signing.posts > 0);
}

TEST_CASE("signs on a thread of its own while the owner signs, rests and destroys", "[memory]") {
  std::mutex mutex;
  std::deque<std::function<void()>> posted;
  int good = 0;
  int answered = 0;
  constexpr int kKeys = 20, kEach = 50;
  {
    MemorySigner signer([&](std::function<void()> work) {
      const std::lock_guard lock(mutex);
      posted.push_back(std::move(work));
    });
    for (int i = 0; i < kKeys; ++i) {
      std::optional<MemoryKey> key = MemoryKey::generate().value();
      for (int j = 0; j < kEach; ++j) {
        const Digest digest = digest_of(j);
        signer.sign(*key, digest, [&, digest, who = key->public_key()](Result<Signature> made) {
          ++answered;
          good += made && verifies(who, digest, *made);
        });
        if (j % 7 == 0) CHECK(key->sign(digest));
        if (j % 11 == 0) key->rest();
        if (j % 5 == 0) signer.help();
      }
    }
  }
  for (const auto& work : posted) work();
  CHECK(answered == kKeys * kEach);
  CHECK(good == answered);
}

TEST_CASE("moves a memory key without a second copy", "[memory]") {
  MemoryKey key = MemoryKey::generate().value();
  const PublicKey public_key = key.public_key();
  MemoryKey moved = std::move(key);
  CHECK(moved.public_key() == public_key);
  key = MemoryKey::generate().value();
  CHECK(key.public_key() != public_key);
}

}  // namespace badged::test
