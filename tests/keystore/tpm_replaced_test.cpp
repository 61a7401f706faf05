// H26: another TPM, a cleared one, another key where ours was: `replaced`, and no new keys.
#include "tests/keystore/tpm_support.h"

namespace badged::test {

using namespace keystore;

TEST_CASE("refuses another TPM and makes no new keys", "[tpm]") {
  TpmAndKeys c;
  { CHECK(Opened(c.tpm.tcti(), c.keys).watch.reaches(Condition::ready)); }
  const std::string files = all_files(c.keys);

  SECTION("found at start") {
    c.tpm.become_another();
    Opened opened(c.tpm.tcti(), c.keys);
    REQUIRE(opened.watch.reaches(Condition::replaced));
    CHECK(opened.watch.last().hint.find("re-enrol") != std::string::npos);
    const auto refused = create_key(*opened.store);
    CHECK(refused.error().code == Errc::changed);
    CHECK(opened.store->identity().error().code == Errc::changed);
  }
  SECTION("put in while running") {
    Opened opened(c.tpm.tcti(), c.keys);
    REQUIRE(opened.watch.reaches(Condition::ready));
    const auto issuer = opened.store->issuer().value();
    c.tpm.become_another();
    REQUIRE_FALSE(sign(*opened.store, issuer.id, kDigest));
    REQUIRE(opened.watch.reaches(Condition::replaced));
    CHECK(sign(*opened.store, issuer.id, kDigest).error().code == Errc::changed);
  }
  CHECK(all_files(c.keys) == files);
  // Nothing was left in the other TPM either.
  CHECK(must_run({"tpm2_getcap", "handles-persistent"}, c.tpm.tcti()).find("0x81000001") ==
        std::string::npos);
}

TEST_CASE("refuses a TPM that was cleared under it", "[tpm]") {
  TpmAndKeys c;
  Relay relay(c.tpm);
  Opened opened(relay.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  const std::string files = all_files(c.keys);
  must_run({"tpm2_clear", "-c", "p"}, relay.tcti());
  const auto refused = create_key(*opened.store);
  REQUIRE_FALSE(refused);
  REQUIRE(opened.watch.reaches(Condition::replaced));
  CHECK(opened.watch.last().message.find("storage root key") != std::string::npos);
  CHECK(create_key(*opened.store).error().code == Errc::changed);
  CHECK(all_files(c.keys) == files);
}

TEST_CASE("refuses another key at the storage root's handle", "[tpm]") {
  TpmAndKeys c;
  {
    Opened opened(c.tpm.tcti(), c.keys);
    REQUIRE(opened.watch.reaches(Condition::ready));
  }
  const std::string files = all_files(c.keys);
  const auto tcti = c.tpm.tcti();
  const auto context = (c.directory / "other.ctx").string();
  must_run({"tpm2_evictcontrol", "-C", "o", "-c", "0x81000001"}, tcti);
  // Of the same hierarchy, as whoever would read our sessions may put it there.
  must_run({"tpm2_createprimary", "-C", "o", "-G", "rsa2048", "-c", context}, tcti);
  must_run({"tpm2_evictcontrol", "-C", "o", "-c", context, "0x81000001"}, tcti);
  must_run({"tpm2_flushcontext", "-t"}, tcti);
  Opened opened(tcti, c.keys);
  REQUIRE(opened.watch.reaches(Condition::replaced));
  CHECK(opened.watch.last().message.find("storage root key") != std::string::npos);
  CHECK(create_key(*opened.store).error().code == Errc::changed);
  CHECK(all_files(c.keys) == files);
}

TEST_CASE("refuses a TPM whose endorsement seed was changed", "[tpm]") {
  TpmAndKeys c;
  { CHECK(Opened(c.tpm.tcti(), c.keys).watch.reaches(Condition::ready)); }
  const std::string files = all_files(c.keys);
  must_run({"tpm2_changeeps"}, c.tpm.tcti());
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::replaced));
  CHECK(opened.watch.last().message.find("endorsement key") != std::string::npos);
  CHECK(create_key(*opened.store).error().code == Errc::changed);
  CHECK(all_files(c.keys) == files);
}

TEST_CASE("puts the same storage root back when only its handle was freed", "[tpm]") {
  TpmAndKeys c;
  PublicKey issuer;
  {
    Opened opened(c.tpm.tcti(), c.keys);
    REQUIRE(opened.watch.reaches(Condition::ready));
    issuer = opened.store->issuer().value().public_key;
  }
  must_run({"tpm2_evictcontrol", "-C", "o", "-c", "0x81000001"}, c.tpm.tcti());
  must_run({"tpm2_evictcontrol", "-C", "o", "-c", "0x81010001"}, c.tpm.tcti());
  Opened opened(c.tpm.tcti(), c.keys);
  REQUIRE(opened.watch.reaches(Condition::ready));
  CHECK(opened.store->issuer().value().public_key == issuer);
  check_signs(*opened.store, opened.store->issuer().value());
}

}  // namespace badged::test
