// What is asked for, and what goes along: without a TPM or a socket.
#include <catch2/catch.hpp>

#include "attest/jose/base64url.h"
#include "daemon/calls/evidence_ask.h"
#include "daemon/calls/evidence_work.h"
#include "daemon/calls/host_logs.h"
#include "daemon/calls/limits.h"

using namespace badged;
using namespace badged::calls;
using keystore::Bank;

namespace {

front::Request question(const Bytes& challenge, const std::string& pcrs = {}) {
  front::Request request;
  request.fields = {{"challenge", attest::base64url(challenge)}, {"audience", "a"}};
  if (!pcrs.empty()) request.fields.push_back({"pcrs", pcrs});
  return request;
}

std::string selected(const std::string& pcrs) {
  const auto ask = read_evidence_ask(question(Bytes(32), pcrs));
  return ask ? to_text(ask->pcrs) : ask.error().what;
}

HostLogPaths paths_for(const std::string& tcti) {
  config::Config config;
  config.keystore.tcti = tcti;
  return host_log_paths(config);
}

}  // namespace

TEST_CASE("a challenge has 16 to 64 bytes") {
  for (const std::size_t size : {16, 32, 64})
    CHECK(read_evidence_ask(question(Bytes(size))).has_value());
  for (const std::size_t size : {0, 15, 65, 1000})
    CHECK_FALSE(read_evidence_ask(question(Bytes(size))).has_value());
}

TEST_CASE("an audience is a word, and no token that was put in its place") {
  const auto taken = [](const std::string& audience) {
    auto request = question(Bytes(32));
    request.fields[1].value = audience;
    const auto ask = read_evidence_ask(request);
    if (!ask) CHECK(ask.error().what.find("eyJ") == std::string::npos);
    return ask.has_value();
  };
  for (const std::string good :
       {"https://verifier.example.org/", "urn:example:verifier", "verifier.example.org", "v"})
    CHECK(taken(good));
  CHECK(taken(std::string(512, 'a')));
  for (const std::string bad :
       {"", "two words", "quo\"te", "back\\slash", "caf\xc3\xa9", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"})
    CHECK_FALSE(taken(bad));
  CHECK_FALSE(taken(std::string(513, 'a')));
}

TEST_CASE("PCRs are sorted, and by default those that only a reset clears") {
  CHECK(selected("") == "sha256:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15");
  CHECK(selected(R"({"sha512":[23,0],"sha1":[7]})") == "sha1:7+sha512:0,23");
  CHECK(selected(R"({"sha256":[24]})") == "pcrs may name the PCRs 0 to 23");
  CHECK(selected(R"({"sha256":[0,0]})") == "pcrs names a PCR twice");
  CHECK(selected(R"({"sm3":[0]})") == "pcrs names an unknown bank");
}

TEST_CASE("the kernel's logs go with the kernel's TPM alone") {
  const auto first = paths_for("device:/dev/tpmrm0");
  CHECK(first.event_log == "/sys/kernel/security/tpm0/binary_bios_measurements");
  CHECK(first.ima_log == "/sys/kernel/security/ima/binary_runtime_measurements");
  CHECK(paths_for("device:/dev/tpm0").event_log == first.event_log);
  // IMA extends the first TPM.
  CHECK(paths_for("device:/dev/tpmrm1").event_log ==
        "/sys/kernel/security/tpm1/binary_bios_measurements");
  CHECK(paths_for("device:/dev/tpmrm1").ima_log.empty());
  for (const char* other : {"swtpm:path=/tmp/x", "device:/dev/tpmrm", "device:/dev/tpmrm0/..",
                            "tabrmd", "device:/dev/tpm../../x", ""}) {
    CHECK(paths_for(other).event_log.empty());
    CHECK(paths_for(other).ima_log.empty());
  }
}

TEST_CASE("places for evidence are few, fewer for one, and come back") {
  boost::asio::io_context io;
  std::vector<std::shared_ptr<const void>> held;
  EvidenceWork work(io, {});
  for (std::size_t i = 0; i < limits::kEvidenceAtOnceEach; ++i)
    held.push_back(work.take_place("a"));
  CHECK(held.back());
  CHECK_FALSE(work.take_place("a"));
  while (held.size() < limits::kEvidenceAtOnce)
    held.push_back(work.take_place("b" + std::to_string(held.size())));
  CHECK(held.back());
  CHECK_FALSE(work.take_place("c"));
  held.front().reset();
  CHECK(work.take_place("b2"));
  CHECK(work.take_place("a"));
}

TEST_CASE("PCR values are JSON by bank and number") {
  CHECK(pcrs_json({}) == "{}");
  CHECK(pcrs_json({{Bank::sha1, 7, {0xAB}}, {Bank::sha256, 0, {1}}, {Bank::sha256, 10, {2, 3}}}) ==
        R"({"sha1":{"7":"ab"},"sha256":{"0":"01","10":"0203"}})");
}
