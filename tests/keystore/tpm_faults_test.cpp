// H26: what a TPM may do to us, each with a state, a message and a way back.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "keystore/limits.h"
#include "tests/keystore/tpm_support.h"

namespace badged::test {

using namespace keystore;

namespace {

constexpr std::uint32_t kSign = 0x15D;  // a command; the rest are response codes
constexpr std::uint32_t kRetry = 0x922, kLockout = 0x921, kObjectMemory = 0x902, kFailure = 0x101;

}  // namespace

TEST_CASE("says that the TPM is gone, and recovers with all its keys when it is back", "[tpm]") {
  TpmAndKeys c;
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto issuer = opened.store->issuer().value();
  const auto session = create_key(*opened.store, 1000).value();
  const Bytes blob = seal(*opened.store, as_bytes("kept")).value();
  const std::string files = all_files(c.keys);

  c.tpm.kill();
  const auto refused = sign(*opened.store, session.id, kDigest, 1000);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::unavailable);
  REQUIRE(opened.watch.reaches(Condition::missing));
  CHECK_FALSE(opened.watch.last().hint.empty());
  CHECK(opened.store->identity());
  CHECK(opened.store->issuer());
  CHECK(sign(*opened.store, issuer.id, kDigest).error().code == Errc::unavailable);

  c.tpm.start();
  REQUIRE(opened.watch.reaches(Condition::ready));
  check_signs(*opened.store, issuer);
  check_signs(*opened.store, session);
  CHECK(unseal(*opened.store, blob).has_value());
  CHECK(all_files(c.keys) == files);
}

TEST_CASE("repeats what a restarted TPM lost, without the caller noticing", "[tpm]") {
  TpmAndKeys c;
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  std::vector<StoredKey> keys{opened.store->issuer().value()};
  for (int i = 0; i < 4; ++i) keys.push_back(create_key(*opened.store).value());
  for (int round = 0; round < 3; ++round) {
    c.tpm.restart();
    for (const auto& key : keys) check_signs(*opened.store, key);
    CHECK(create_key(*opened.store));
    // It was told all the same.
    CHECK(opened.watch.reaches(Condition::starting));
    CHECK(opened.watch.reaches(Condition::ready));
  }
}

TEST_CASE("notices by itself that the TPM is gone", "[tpm]") {
  TpmAndKeys c;
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  c.tpm.kill();
  CHECK(opened.watch.reaches(Condition::missing));
  c.tpm.start();
  CHECK(opened.watch.reaches(Condition::ready));
}

TEST_CASE("waits for a TPM that is not there at start", "[tpm]") {
  TpmAndKeys c;
  c.tpm.kill();
  std::filesystem::remove(c.tpm.socket());
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::missing));
  CHECK(opened.store->identity().error().code == Errc::unavailable);
  CHECK(opened.store->issuer().error().code == Errc::unavailable);
  CHECK_FALSE(std::filesystem::exists(c.keys / "provision.json"));
  c.tpm.start();
  REQUIRE(opened.watch.reaches(Condition::ready));
  check_signs(*opened.store, opened.store->issuer().value());
}

TEST_CASE("tells a device it may not open from one that is missing", "[tpm]") {
  if (::geteuid() != 0) {
    WARN("skipped: needs root to become another user");
    return;
  }
  constexpr uid_t nobody = 65534;
  TemporaryDirectory directory;
  ::chmod(directory.path().c_str(), 0755);
  const auto device = directory / "tpm";
  write_text(device, "");
  ::chmod(device.c_str(), 0);
  const auto keys = directory / "keys";
  std::filesystem::create_directory(keys);
  ::chmod(keys.c_str(), 0700);
  REQUIRE(::chown(keys.c_str(), nobody, nobody) == 0);
  REQUIRE(::seteuid(nobody) == 0);
  {
    Opened closed("device:" + device.string(), keys);
    CHECK(closed.watch.reaches(Condition::no_permission));
    CHECK(closed.watch.last().hint.find("tss") != std::string::npos);
    Opened missing("device:" + (directory / "none").string(), keys);
    CHECK(missing.watch.reaches(Condition::missing));
  }
  REQUIRE(::seteuid(0) == 0);
}

TEST_CASE("says lockout, and works again when it is over", "[tpm]") {
  TpmAndKeys c;
  // Somebody's storage root without noDA: uses of it count, and lockout closes it.
  must_run(
      {"tpm2_createprimary", "-C", "o", "-G", "ecc", "-a",
       "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt", "-c", "srk.ctx"},
      c.tpm.tcti(), c.directory.path());
  must_run({"tpm2_evictcontrol", "-C", "o", "-c", "srk.ctx", "0x81000001"}, c.tpm.tcti(),
           c.directory.path());
  must_run({"tpm2_flushcontext", "-t"}, c.tpm.tcti());
  must_run({"tpm2_create", "-C", "0x81000001", "-G", "ecc", "-p", "right", "-c", "victim.ctx"},
           c.tpm.tcti(), c.directory.path());
  must_run({"tpm2_flushcontext", "-t"}, c.tpm.tcti());
  write_text(c.directory / "message", "m");
  for (int i = 0; i < 5; ++i) {
    run_program({"tpm2_sign", "-c", "victim.ctx", "-p", "wrong", "-o", "signature", "message"},
                c.tpm.tcti(), c.directory.path());
    must_run({"tpm2_flushcontext", "-t"}, c.tpm.tcti());
  }
  Relay relay(c.tpm);
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::lockout));
  CHECK(opened.watch.last().hint.find("tpm2_dictionarylockout") != std::string::npos);
  CHECK(create_key(*opened.store).error().code == Errc::unavailable);
  must_run({"tpm2_dictionarylockout", "-c"}, relay.tcti());
  REQUIRE(opened.watch.reaches(Condition::ready));
  check_signs(*opened.store, opened.store->issuer().value());
}

TEST_CASE("comes back from a lockout that began while running", "[tpm]") {
  TpmAndKeys c;
  Relay relay(c.tpm);
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto issuer = opened.store->issuer().value();
  std::atomic<bool> locked = true;
  relay.intercept([&](const Bytes& command) -> std::optional<Bytes> {
    if (Relay::command_code(command) == kSign && locked) return Relay::error_answer(kLockout);
    return std::nullopt;
  });
  CHECK(sign(*opened.store, issuer.id, kDigest).error().code == Errc::unavailable);
  REQUIRE(opened.watch.reaches(Condition::lockout));
  locked = false;
  REQUIRE(opened.watch.reaches(Condition::ready));
  check_signs(*opened.store, issuer);
}

TEST_CASE("names failure mode, and comes back from it", "[tpm]") {
  TpmAndKeys c;
  Relay relay(c.tpm);
  std::atomic<bool> failing = false;
  relay.intercept([&](const Bytes&) -> std::optional<Bytes> {
    if (failing) return Relay::error_answer(kFailure);
    return std::nullopt;
  });
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto issuer = opened.store->issuer().value();
  failing = true;
  CHECK(sign(*opened.store, issuer.id, kDigest).error().code == Errc::unavailable);
  REQUIRE(opened.watch.reaches(Condition::failed));
  CHECK(opened.watch.last().hint.find("power the host off") != std::string::npos);
  failing = false;
  REQUIRE(opened.watch.reaches(Condition::ready));
  check_signs(*opened.store, issuer);
}

TEST_CASE("waits for a TPM that answers RETRY, and says busy when it goes on", "[tpm]") {
  TpmAndKeys c;
  Relay relay(c.tpm);
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto issuer = opened.store->issuer().value();
  std::atomic<int> times = 20;
  relay.intercept([&](const Bytes& command) -> std::optional<Bytes> {
    if (Relay::command_code(command) == kSign && times > 0) {
      --times;
      return Relay::error_answer(kRetry);
    }
    return std::nullopt;
  });
  check_signs(*opened.store, issuer);
  CHECK(times == 0);
  times = 1'000'000;
  CHECK(sign(*opened.store, issuer.id, kDigest).error().code == Errc::busy);
  times = 0;
  check_signs(*opened.store, issuer);
  CHECK(opened.store->state().condition == Condition::ready);
}

TEST_CASE("rebuilds its sessions after an answer whose HMAC is wrong", "[tpm]") {
  TpmAndKeys c;
  Relay relay(c.tpm);
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto issuer = opened.store->issuer().value();
  std::atomic<int> forged = 0;
  relay.tamper([&](const Bytes& command, Bytes& answer) {
    if (Relay::command_code(command) == kSign && forged++ == 0) answer.back() ^= 1;
  });
  check_signs(*opened.store, issuer);
  CHECK(forged == 2);
}

TEST_CASE("never takes a forged signature for the TPM's", "[tpm]") {
  TpmAndKeys c;
  Relay relay(c.tpm);
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto issuer = opened.store->issuer().value();
  relay.tamper([&](const Bytes& command, Bytes& answer) {
    if (Relay::command_code(command) == kSign && answer.size() > 40) answer[30] ^= 1;
  });
  CHECK(sign(*opened.store, issuer.id, kDigest).error().code == Errc::unavailable);
  relay.tamper({});
  REQUIRE(opened.watch.reaches(Condition::starting));
  REQUIRE(opened.watch.reaches(Condition::ready));
}

TEST_CASE("destroys a key while the connection is rebuilt", "[tpm]") {
  TpmAndKeys c;
  Relay relay(c.tpm);
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto issuer = opened.store->issuer().value();
  const auto gone = create_key(*opened.store).value();
  const auto kept = create_key(*opened.store).value();
  std::atomic<bool> once = true;
  std::promise<void> flushed;
  relay.intercept([&](const Bytes& command) -> std::optional<Bytes> {
    if (Relay::command_code(command) != kSign || !once.exchange(false)) return std::nullopt;
    opened.store->destroy(gone.id, [&flushed] { flushed.set_value(); });
    return Relay::error_answer(0x910);  // TPM_RC_REFERENCE_H0: as after a reset
  });
  check_signs(*opened.store, issuer);
  flushed.get_future().wait();
  check_signs(*opened.store, issuer);
  check_signs(*opened.store, kept);
  CHECK(sign(*opened.store, gone.id, kDigest).error().code == Errc::not_found);
}

TEST_CASE("lives through garbage from the TPM", "[tpm]") {
  TpmAndKeys c;
  Relay relay(c.tpm);
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const auto issuer = opened.store->issuer().value();
  std::atomic<int> left = 0;
  relay.tamper([&](const Bytes& command, Bytes& answer) {
    if (left <= 0 || Relay::command_code(command) != kSign) return;
    --left;
    for (std::size_t i = 10; i < answer.size(); ++i) answer[i] = static_cast<std::uint8_t>(i * 37);
  });
  for (int i = 0; i < 3; ++i) {
    left = 1;
    check_signs(*opened.store, issuer);
  }
}

TEST_CASE("makes room when the TPM says that its slots are full", "[tpm]") {
  TpmAndKeys c;
  Relay relay(c.tpm);
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  std::atomic<int> full = 1;
  relay.intercept([&](const Bytes& command) -> std::optional<Bytes> {
    if (Relay::command_code(command) == 0x153 && full-- > 0)  // TPM2_Create
      return Relay::error_answer(kObjectMemory);
    return std::nullopt;
  });
  CHECK(create_key(*opened.store));
}

TEST_CASE("frees slots and sessions that a killed program left behind", "[tpm]") {
  TpmAndKeys c;
  for (const char* context : {"a", "b", "c"})
    run_program({"tpm2_createprimary", "-C", "n", "-G", "ecc", "-c", context}, c.tpm.tcti(),
                c.directory.path());
  for (const char* session : {"s", "t", "u"})
    run_program({"tpm2_startauthsession", "-S", session}, c.tpm.tcti(), c.directory.path());
  const auto full = run_program({"tpm2_createprimary", "-C", "n", "-G", "ecc", "-c", "d"},
                                c.tpm.tcti(), c.directory.path());
  REQUIRE(full.exit_code != 0);
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  CHECK(create_key(*opened.store));
}

TEST_CASE("does not hang on a TPM that another program holds", "[tpm]") {
  TpmAndKeys c;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, c.tpm.socket().c_str(), sizeof(address.sun_path) - 1);
  const int holder = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(holder, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::missing));
  CHECK(opened.watch.last().hint.find("another program holds it") != std::string::npos);
  ::close(holder);
  CHECK(opened.watch.reaches(Condition::ready));
}

}  // namespace badged::test
