// One suite over both stores: what is promised of one is promised of the other.
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <set>

#include "keystore/limits.h"
#include "keystore/memory_key.h"
#include "keystore/random.h"
#include "keystore/sha256.h"
#include "tests/keystore/result_printer.h"
#include "tests/keystore/support.h"
#include "tests/keystore/swtpm.h"

namespace badged::test {

using namespace keystore;

namespace {

struct TpmBench {
  static constexpr Custody kCustody = Custody::tpm;
  Swtpm tpm;
  TemporaryDirectory directory;
  std::unique_ptr<Store> open() {
    return open_tpm_store({tpm.tcti(), (directory / "keys").string()});
  }
};

struct SoftwareBench {
  static constexpr Custody kCustody = Custody::software;
  TemporaryDirectory directory;
  std::unique_ptr<Store> open() { return open_software_store((directory / "keys").string()); }
};

std::unique_ptr<Store> open_ready(auto& bench) {
  auto store = bench.open();
  StateWatch watch(*store);
  REQUIRE(watch.reaches(Condition::ready));
  return store;
}

Digest digest_of(int number) {
  return sha256(as_bytes(std::to_string(number)));
}

}  // namespace

#define FOR_BOTH_STORES(name) TEMPLATE_TEST_CASE(name, "[store]", TpmBench, SoftwareBench)

FOR_BOTH_STORES("becomes ready and says who the host is") {
  TestType bench;
  const auto store = open_ready(bench);
  CHECK(store->custody() == TestType::kCustody);
  CHECK(store->state().message.empty());
  const auto identity = store->identity();
  REQUIRE(identity);
  CHECK(identity->custody == TestType::kCustody);
  CHECK(identity->ak != PublicKey{});
  CHECK_FALSE(identity->manufacturer.empty());
  const auto issuer = store->issuer();
  REQUIRE(issuer);
  CHECK(issuer->custody == TestType::kCustody);
  CHECK(issuer->public_key != identity->ak);
}

FOR_BOTH_STORES("signs with the issuer so that OpenSSL agrees") {
  TestType bench;
  const auto store = open_ready(bench);
  const auto issuer = store->issuer().value();
  const auto signature = sign(*store, issuer.id, digest_of(1));
  REQUIRE(signature);
  CHECK(verifies(issuer.public_key, digest_of(1), *signature));
  CHECK_FALSE(verifies(issuer.public_key, digest_of(2), *signature));
}

// One signature in 128 has a leading zero byte in r or s, which a careless conversion shifts.
FOR_BOTH_STORES("pads short r and s to 32 bytes each") {
  TestType bench;
  const auto store = open_ready(bench);
  const auto issuer = store->issuer().value();
  int short_ones = 0;
  int bad = 0;
  for (int i = 0; i < 600 || (short_ones == 0 && i < 4000); ++i) {
    const auto signature = sign(*store, issuer.id, digest_of(i));
    REQUIRE(signature);
    if ((*signature)[0] == 0 || (*signature)[32] == 0) ++short_ones;
    if (!verifies(issuer.public_key, digest_of(i), *signature)) ++bad;
  }
  CHECK(bad == 0);
  CHECK(short_ones > 0);
}

FOR_BOTH_STORES("keeps identity, issuer and sealed secrets across a restart") {
  TestType bench;
  Identity before;
  PublicKey issuer_before;
  Bytes blob;
  {
    const auto store = open_ready(bench);
    before = store->identity().value();
    issuer_before = store->issuer().value().public_key;
    blob = seal(*store, as_bytes("the issuing key")).value();
  }
  const auto store = open_ready(bench);
  CHECK(store->identity().value().ak == before.ak);
  CHECK(store->identity().value().ak_name == before.ak_name);
  CHECK(store->issuer().value().public_key == issuer_before);
  const auto secret = unseal(*store, blob);
  REQUIRE(secret);
  CHECK(as_text(*secret) == "the issuing key");
}

FOR_BOTH_STORES("gives each session a key of its own and forgets it") {
  TestType bench;
  const auto store = open_ready(bench);
  const auto first = create_key(*store, 1000);
  const auto second = create_key(*store, 1000);
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->id != second->id);
  CHECK(first->public_key != second->public_key);
  CHECK(first->custody == TestType::kCustody);
  const auto signature = sign(*store, first->id, digest_of(7), 1000);
  REQUIRE(signature);
  CHECK(verifies(first->public_key, digest_of(7), *signature));

  destroy(*store, first->id);
  const auto refused = sign(*store, first->id, digest_of(7), 1000);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::not_found);
  CHECK(sign(*store, second->id, digest_of(8), 1000));
}

FOR_BOTH_STORES("refuses a key from the moment destroy returns, also for work already queued") {
  TestType bench;
  const auto store = open_ready(bench);
  const auto key = create_key(*store).value();
  // Hold the store's thread in a sink, so that what follows is queued for certain.
  std::promise<void> held;
  std::promise<void> release;
  store->sign(store->issuer().value().id, digest_of(1), kOwnWork, [&](Result<Signature>) {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();
  std::promise<Result<Signature>> late;
  store->sign(key.id, digest_of(2), 1000,
              [&](Result<Signature> result) { late.set_value(std::move(result)); });
  std::promise<void> flushed;
  store->destroy(key.id, [&] { flushed.set_value(); });
  release.set_value();
  flushed.get_future().wait();
  const auto result = late.get_future().get();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::not_found);
}

FOR_BOTH_STORES("destroys an unknown key without harm") {
  TestType bench;
  const auto store = open_ready(bench);
  destroy(*store, 424242);
  store->destroy(424243, {});
  CHECK(sign(*store, store->issuer().value().id, digest_of(1)));
}

FOR_BOTH_STORES("never gives the issuer away to destroy") {
  TestType bench;
  const auto store = open_ready(bench);
  destroy(*store, store->issuer().value().id);
  CHECK(sign(*store, store->issuer().value().id, digest_of(1)));
}

FOR_BOTH_STORES("serves fifty session keys interleaved with the issuer") {
  TestType bench;
  const auto store = open_ready(bench);
  std::vector<StoredKey> keys{store->issuer().value()};
  for (int i = 0; i < 50; ++i) keys.push_back(create_key(*store, 1000 + i % 5).value());
  int bad = 0;
  for (int round = 0; round < 3; ++round)
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto& key = keys[(i * 7) % keys.size()];
      const auto signature = sign(*store, key.id, digest_of(round), 1000);
      if (!signature || !verifies(key.public_key, digest_of(round), *signature)) ++bad;
    }
  CHECK(bad == 0);
  for (std::size_t i = 1; i < keys.size(); ++i) destroy(*store, keys[i].id);
  CHECK(sign(*store, keys[0].id, digest_of(9)));
}

FOR_BOTH_STORES("seals secrets up to 128 bytes and no longer ones") {
  TestType bench;
  const auto store = open_ready(bench);
  for (const std::size_t size : {std::size_t{1}, std::size_t{32}, limits::kSealedSecret}) {
    Bytes secret(size);
    fill_random(secret);
    const auto blob = seal(*store, secret);
    REQUIRE(blob);
    CHECK(std::search(blob->begin(), blob->end(), secret.begin(), secret.end()) ==
          (size < 8 ? std::search(blob->begin(), blob->end(), secret.begin(), secret.end())
                    : blob->end()));
    const auto opened = unseal(*store, *blob);
    REQUIRE(opened);
    CHECK(*opened == secret);
  }
  const auto refused = seal(*store, Bytes(limits::kSealedSecret + 1));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::refused);
}

FOR_BOTH_STORES("refuses a sealed blob that was edited, cut, lengthened or is of another version") {
  TestType bench;
  const auto store = open_ready(bench);
  const Bytes blob = seal(*store, as_bytes("secret")).value();
  const auto opens = [&](Bytes changed) { return unseal(*store, changed).has_value(); };
  REQUIRE(opens(blob));
  CHECK_FALSE(opens({}));
  CHECK_FALSE(opens(Bytes(100000)));
  Bytes longer = blob;
  longer.push_back(0);
  CHECK_FALSE(opens(longer));
  for (std::size_t size = 0; size < blob.size(); size += 7)
    CHECK_FALSE(opens(Bytes(blob.begin(), blob.begin() + static_cast<std::ptrdiff_t>(size))));
  for (std::size_t at = 0; at < blob.size(); at += 5) {
    Bytes edited = blob;
    edited[at] ^= 0x10;
    CHECK_FALSE(opens(edited));
  }
  // None of this was the TPM's fault.
  CHECK(store->state().condition == Condition::ready);
  CHECK(opens(blob));
}

FOR_BOTH_STORES("answers busy at once to the caller that floods, and serves another in turn") {
  TestType bench;
  const auto store = open_ready(bench);
  const KeyId issuer = store->issuer().value().id;
  std::promise<void> held;
  std::promise<void> release;
  store->sign(issuer, digest_of(0), kOwnWork, [&](Result<Signature>) {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();

  std::mutex mutex;
  std::condition_variable progress;
  std::vector<Caller> served;
  std::size_t busy = 0;
  std::size_t answers = 0;
  const auto ask = [&](Caller caller) {
    store->sign(issuer, digest_of(1), caller, [&, caller](Result<Signature> result) {
      const std::lock_guard lock(mutex);
      ++answers;
      if (result) served.push_back(caller);
      if (!result && result.error().code == Errc::busy) ++busy;
      progress.notify_all();
    });
  };
  constexpr std::size_t kFlood = 1000;
  for (std::size_t i = 0; i < kFlood; ++i) ask(1000);
  {
    // The thread is held, so these answers came inline.
    const std::lock_guard lock(mutex);
    CHECK(busy == kFlood - limits::kQueuePerCaller);
  }
  ask(1001);
  ask(kOwnWork);
  release.set_value();
  std::unique_lock lock(mutex);
  REQUIRE(progress.wait_for(lock, kPatience, [&] { return answers == kFlood + 2; }));
  REQUIRE(served.size() == limits::kQueuePerCaller + 2);
  // One turn each: both quiet callers were among the first three.
  CHECK(std::set<Caller>(served.begin(), served.begin() + 3) ==
        std::set<Caller>{1000, 1001, kOwnWork});
}

FOR_BOTH_STORES("keeps room for badged's own work when strangers fill the queue") {
  TestType bench;
  const auto store = open_ready(bench);
  const KeyId issuer = store->issuer().value().id;
  std::promise<void> held;
  std::promise<void> release;
  store->sign(issuer, digest_of(0), kOwnWork, [&](Result<Signature>) {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();
  std::mutex mutex;
  std::size_t busy = 0;
  for (Caller uid = 0; uid < 1000; ++uid)
    store->sign(issuer, digest_of(1), uid, [&](Result<Signature> result) {
      const std::lock_guard lock(mutex);
      if (!result && result.error().code == Errc::busy) ++busy;
    });
  {
    const std::lock_guard lock(mutex);
    CHECK(busy == 1000 - (limits::kQueue - limits::kQueueReserved));
  }
  std::promise<bool> own;
  store->sign(issuer, digest_of(2), kOwnWork,
              [&](Result<Signature> result) { own.set_value(result.has_value()); });
  release.set_value();
  CHECK(own.get_future().get());
}

FOR_BOTH_STORES("calls every sink exactly once when it is closed under load") {
  TestType bench;
  auto store = open_ready(bench);
  const KeyId issuer = store->issuer().value().id;
  std::mutex mutex;
  std::vector<int> calls(200);
  for (std::size_t i = 0; i < calls.size(); ++i)
    store->sign(issuer, digest_of(1), static_cast<Caller>(i % 4), [&, i](Result<Signature>) {
      const std::lock_guard lock(mutex);
      ++calls[i];
    });
  bool flushed = false;
  store->destroy(99, [&] { flushed = true; });
  store.reset();
  CHECK(calls == std::vector<int>(calls.size(), 1));
  CHECK(flushed);
}

FOR_BOTH_STORES("keeps its files to itself") {
  TestType bench;
  open_ready(bench);
  const auto keys = bench.directory / "keys";
  CHECK((std::filesystem::status(keys).permissions() & std::filesystem::perms::all) ==
        std::filesystem::perms::owner_all);
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(keys)) {
    ++files;
    CHECK((file.status().permissions() & std::filesystem::perms::all) ==
          (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  }
  CHECK(files > 0);
}

FOR_BOTH_STORES("refuses a directory that others can read, and recovers when it is mended") {
  TestType bench;
  const auto keys = bench.directory / "keys";
  std::filesystem::create_directory(keys);
  std::filesystem::permissions(keys, std::filesystem::perms(0755));
  const auto store = bench.open();
  StateWatch watch(*store);
  REQUIRE(watch.reaches(Condition::failed));
  CHECK(watch.last().message.find("not ours alone") != std::string::npos);
  CHECK_FALSE(watch.last().hint.empty());
  CHECK(std::filesystem::is_empty(keys));
  const auto refused = create_key(*store);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::unavailable);
  std::filesystem::permissions(keys, std::filesystem::perms(0700));
  CHECK(watch.reaches(Condition::ready));
}

}  // namespace badged::test
