// Evidence: the chain from the pinned attestation key, what was asked, and every relay of it.
#include "attest/evidence/appraise.h"
#include "attest/evidence/result.h"
#include "attest/limits.h"
#include "tests/attest/catch.h"
#include "tests/attest/evidence_maker.h"

using namespace badged;
using namespace badged::attest;
using test::EvidenceMaker;

namespace {

// nullopt: good.
std::optional<Reason> verdict(const EvidenceMaker& maker) {
  const auto appraisal = maker.appraise();
  return appraisal.good() ? std::nullopt : std::optional(appraisal.rejection->reason);
}

std::optional<Reason> verdict(const EvidenceMaker& maker, const std::string& evidence,
                              const EvidenceExpectation& expect) {
  const auto appraisal = appraise(maker.pinned(), evidence, expect);
  return appraisal.good() ? std::nullopt : std::optional(appraisal.rejection->reason);
}

std::optional<Reason> with(const std::string& from, const std::string& to) {
  EvidenceMaker maker;
  maker.replacements = {{from, to}};
  return verdict(maker);
}

bool names(const Findings& findings, std::string_view check) {
  return std::ranges::any_of(findings.not_checked(),
                             [&](const NotChecked& skip) { return skip.check == check; });
}

}  // namespace

TEST_CASE("the binding of evidence is what the protocol says") {
  const Bytes challenge(16, 1);
  Digest thumbprint;
  thumbprint.fill(2);
  Bytes message(as_bytes("badged-evidence-v1").begin(), as_bytes("badged-evidence-v1").end());
  message.push_back(0);
  test::append(message, 16, 4);
  test::append(message, challenge);
  test::append(message, thumbprint);
  test::append(message, 1, 4);
  message.push_back('a');
  CHECK(evidence_binding(challenge, thumbprint, "a") == keystore::sha256(message));
}

TEST_CASE("a session's and a host's own evidence are good, and say what was not checked") {
  EvidenceMaker maker;
  const auto appraisal = maker.appraise();
  REQUIRE(appraisal.good());
  CHECK_FALSE(appraisal.findings.warned());
  CHECK(appraisal.evidence->claims().jkt == maker.jkt());
  for (const char* check :
       {"enrolment", "ek_chain", "event_log", "ima_log", "reference_values", "state"})
    CHECK(names(appraisal.findings, check));
  CHECK_FALSE(names(appraisal.findings, "selection"));
  CHECK_FALSE(names(appraisal.findings, "qualified_signer"));
  maker.custody = "tpm";
  maker.session_certified = true;
  CHECK(verdict(maker) == std::nullopt);
  maker.of_session = maker.session_certified = false;
  CHECK(verdict(maker) == std::nullopt);
}

TEST_CASE("a bare key as the pinned one leaves its attributes and place unchecked, and says so") {
  EvidenceMaker maker;
  maker.ak_public = {};
  const auto appraisal = appraise(maker.ak.ak, maker.make(), maker.expectation());
  REQUIRE(appraisal.good());
  CHECK(names(appraisal.findings, "ak_attributes"));
  CHECK(names(appraisal.findings, "qualified_signer"));
}

TEST_CASE("logs and records that nobody looks into are named") {
  EvidenceMaker maker;
  maker.event_log = std::string(1000, 'e');
  maker.ima_log = std::string(1000, 'i');
  maker.ek_chain = "-----BEGIN CERTIFICATE-----";
  maker.replacements = {
      {"\"cmw\":{", "\"cmw\":{\"later\":[\"x/y\",\"AA\"],\"__cmwc_t\":\"tag:x\","}};
  const auto appraisal = maker.appraise();
  REQUIRE(appraisal.good());
  CHECK(names(appraisal.findings, "event_log"));
  CHECK(names(appraisal.findings, "record:later"));
}

TEST_CASE("evidence of another attestation key is refused before its claims are read") {
  EvidenceMaker maker, other;
  maker.replacements = {{"\"iat\":", "\"iat\":\"no number\",\"x\":"}};
  const auto appraisal = appraise(other.pinned(), maker.make(), maker.expectation());
  REQUIRE_FALSE(appraisal.good());
  CHECK(appraisal.rejection->reason == Reason::signature);
  CHECK_FALSE(appraisal.evidence);
}

TEST_CASE("the whole is signed by the issuer key that the attestation key certified, by no other") {
  EvidenceMaker maker, other;
  const std::string header = evidence_header(thumbprint(maker.issuer.public_key()));
  const auto foreign = test::sign_jws(other.issuer, header, maker.payload());
  CHECK(verdict(maker, foreign, maker.expectation()) == Reason::signature);
  const auto named = test::sign_jws(
      maker.issuer, evidence_header(thumbprint(other.issuer.public_key())), maker.payload());
  CHECK(verdict(maker, named, maker.expectation()) == Reason::unknown_key);
  CHECK(verdict(maker,
                test::sign_jws(maker.issuer, R"({"typ":"at+jwt","alg":"ES256","kid":"x"})",
                               maker.payload()),
                maker.expectation()) == Reason::type);
}

// H20.
TEST_CASE("H20: evidence for another challenge, audience or key is refused") {
  const EvidenceMaker maker;
  const auto evidence = maker.make();
  auto expect = maker.expectation();
  const Bytes other(32, 0x5B), prefix(31, 0x5A), longer(33, 0x5A);
  for (const Bytes& challenge : {other, prefix, longer}) {
    expect.challenge = challenge;
    const auto appraisal = appraise(maker.pinned(), evidence, expect);
    REQUIRE_FALSE(appraisal.good());
    CHECK(appraisal.rejection->reason == Reason::nonce);
    CHECK(appraisal.findings.done().back().check == "challenge");  // before the quote's extraData
  }
  expect = maker.expectation();
  expect.audience = "https://relying.example.org";
  CHECK(verdict(maker, evidence, expect) == Reason::audience);
}

// H20. The claims are as asked, only the TPM was asked for something else.
TEST_CASE("H20: a quote made for another challenge, audience or key is refused under good claims") {
  for (const int what : {0, 1, 2}) {
    EvidenceMaker maker;
    const auto binding = evidence_binding(
        what == 0 ? Bytes(32, 1) : maker.challenge,
        thumbprint_digest(what == 1 ? maker.issuer.public_key() : maker.session.public_key()),
        what == 2 ? "https://other.example.org/" : maker.audience);
    maker.quote.extra_data.assign(binding.begin(), binding.end());
    INFO(what);
    CHECK(verdict(maker) == Reason::nonce);
  }
}

// H20.
TEST_CASE("H20: one host's quote in another host's collection is refused") {
  const EvidenceMaker one, other;
  const auto quote_of = [](const EvidenceMaker& maker) {
    return "\"quote.attest\":[\"" + std::string(kTpmsAttest) + "\",\"" + base64url(maker.quoted()) +
           "\"";
  };
  EvidenceMaker spliced;
  spliced.replacements = {{quote_of(spliced), quote_of(other)}};
  CHECK(verdict(spliced) == Reason::signature);
  EvidenceMaker two_signers;  // by one key, which says that it is two
  two_signers.certifier = Bytes(34, 0xBB);
  CHECK(verdict(two_signers) == Reason::not_attested);
  EvidenceMaker of_session;
  of_session.custody = "tpm";
  of_session.session_certified = true;
  of_session.session_certifier = Bytes(34, 0xBB);
  CHECK(verdict(of_session) == Reason::not_attested);
}

// H18.
TEST_CASE(
    "H18: another selection, another bank, an unquoted value and a bank of SHA-1 are refused") {
  EvidenceMaker maker;
  auto expect = maker.expectation();
  const auto evidence = maker.make();
  expect.selection = tpm::parse_selection("sha256:0,1").value();
  CHECK(verdict(maker, evidence, expect) == Reason::selection);
  expect.selection = tpm::parse_selection("sha384:0,1,7").value();
  CHECK(verdict(maker, evidence, expect) == Reason::selection);
  EvidenceMaker more;
  more.pcrs.insert(more.pcrs.size() - 2, ",\"8\":\"" + std::string(64, '8') + "\"");
  CHECK(verdict(more) == Reason::pcr_values);
  EvidenceMaker sha1;
  sha1.quote.selections = {{tpm::Alg::sha1, 1}};
  sha1.pcrs = R"({"sha1":{"0":")" + std::string(40, '0') + R"("}})";
  expect = sha1.expectation();
  expect.selection = tpm::parse_selection("sha1:0").value();
  CHECK(verdict(sha1, sha1.make(), expect) == Reason::algorithm);
  expect.allow_sha1_bank = true;
  const auto allowed = appraise(sha1.pinned(), sha1.make(), expect);
  CHECK(allowed.good());
  CHECK(allowed.findings.warned());
}

// H18.
TEST_CASE("H18: evidence whose quote names a bank twice is refused where no PCRs were asked for") {
  EvidenceMaker maker;
  maker.quote.selections = {{tpm::Alg::sha256, 1u << 7}, {tpm::Alg::sha256, 3}};
  auto expect = maker.expectation();
  CHECK(verdict(maker, maker.make(), expect) == std::nullopt);
  expect.selection.reset();
  CHECK(verdict(maker, maker.make(), expect) == Reason::selection);
}

// H22.
TEST_CASE("H22: an issuer key that may leave its TPM is refused, though the AK certified it") {
  for (const std::uint32_t missing :
       {tpm::attribute::fixed_tpm, tpm::attribute::fixed_parent,
        tpm::attribute::sensitive_data_origin, tpm::attribute::sign}) {
    EvidenceMaker maker;
    maker.issuer_attributes = test::kSigningAttributes & ~missing;
    CHECK(verdict(maker) == Reason::not_attested);
  }
}

// H20. The certification says which key it is about; everything else of the forger's is good.
TEST_CASE("H20: another key under the issuer's or the session's certification is refused") {
  EvidenceMaker maker;
  maker.custody = "tpm";
  maker.session_certified = true;
  const auto record = [](std::string_view label, const keystore::MemoryKey& key) {
    const Bytes area = test::ecc_area(key.public_key(), test::kSigningAttributes);
    return "\"" + std::string(label) + "\":[\"" + std::string(kTpmtPublic) + "\",\"" +
           base64url(area) + "\"";
  };
  const auto forger = test::new_key();
  maker.replacements = {{record("issuer.public", maker.issuer), record("issuer.public", forger)}};
  const auto forged =
      test::sign_jws(forger, evidence_header(thumbprint(forger.public_key())), maker.payload());
  CHECK(verdict(maker, forged, maker.expectation()) == Reason::not_attested);
  maker.replacements = {{record("pop.public", maker.session), record("pop.public", forger)}};
  CHECK(verdict(maker) == Reason::not_attested);
}

// H22.
TEST_CASE("H22: an ak.public or ek.public that is not the signer's is refused") {
  EvidenceMaker maker, other;
  const auto pinned = maker.pinned();
  maker.ak_public = other.ak_public;
  const auto appraisal = appraise(pinned, maker.make(), maker.expectation());
  REQUIRE_FALSE(appraisal.good());
  CHECK(appraisal.rejection->reason == Reason::binding);
  const auto bare = appraise(maker.ak.ak, maker.make(), maker.expectation());
  REQUIRE_FALSE(bare.good());
  CHECK(bare.rejection->reason == Reason::binding);

  EvidenceMaker child;
  child.ek_public = test::vector_file("rsa_key.public");
  const auto parent = tpm::qualified_name_of_primary(tpm::Hierarchy::endorsement,
                                                     tpm::compute_name(child.ek_public).value());
  child.quote.signer =
      tpm::qualified_name_of_child(parent.value(), tpm::compute_name(child.ak_public).value())
          .value();
  CHECK(verdict(child) == std::nullopt);
  child.ek_public = test::vector_file("key.public");
  CHECK(verdict(child) == Reason::not_attested);
}

TEST_CASE("where the spoken-for key lives is what the TPM certifies, else it is refused") {
  EvidenceMaker maker;
  maker.custody = "tpm";  // and no certification
  CHECK(verdict(maker) == Reason::not_attested);
  maker.session_certified = true;
  CHECK(verdict(maker) == std::nullopt);
  maker.custody = "locked-memory";
  CHECK(verdict(maker) == Reason::not_attested);
  EvidenceMaker host;
  host.of_session = false;
  host.session_certified = true;
  CHECK(verdict(host) == Reason::binding);
  EvidenceMaker other_key;
  other_key.custody = "tpm";
  other_key.session_certified = true;
  const auto wrong = thumbprint(test::new_key().public_key());
  other_key.replacements = {{other_key.jkt(), wrong}};
  CHECK(verdict(other_key) == Reason::binding);
}

TEST_CASE("claims that are missing, of another form or from the future are refused") {
  CHECK(with("\"eat_profile\"", "\"eat_other\"") == Reason::missing_claim);
  CHECK(with("evidence#1", "evidence#2") == Reason::type);
  CHECK(with("\"aud\":", "\"aud\":[\"x\"],\"aud2\":") == Reason::bad_claim);
  CHECK(with("\"eat_nonce\":\"", "\"eat_nonce\":\"AAAA\",\"n\":\"") == Reason::bad_claim);
  CHECK(with("\"iat\":", "\"iat\":1e3,\"i\":") == Reason::bad_claim);
  CHECK(with("\"iat\":", "\"iat\":" + std::to_string(kLatestTime + 1) + ",\"i\":") ==
        Reason::bad_claim);
  CHECK(with("\"iat\":", "\"iat\":-1,\"i\":") == Reason::bad_claim);
  CHECK(with("\"iss\":\"", "\"iss\":\"\",\"i\":\"") == Reason::bad_claim);
  CHECK(with("\"iss\":\"", "\"iss\":\"" + std::string(kUrlBytes, 'x')) == Reason::bad_claim);
  CHECK(with("\"custody\"", "\"c\"") == Reason::missing_claim);
  CHECK(with("\"cnf\":{\"jkt\":\"", "\"cnf\":{\"jkt\":\"x") == Reason::bad_claim);
  EvidenceMaker early;
  early.iat = test::kNow + kFutureLeeway + 1;
  CHECK(verdict(early) == Reason::not_yet_valid);
  const auto timed = [](const char* name, std::int64_t at) {
    const auto member = "\"" + std::string(name) + "\":" + std::to_string(at);
    return with("\"iat\":", member + ",\"iat\":");
  };
  CHECK(timed("exp", test::kNow) == Reason::expired);
  CHECK_FALSE(timed("exp", test::kNow + 1));
  CHECK(timed("nbf", test::kNow + kFutureLeeway + 1) == Reason::not_yet_valid);
  CHECK_FALSE(timed("nbf", test::kNow + kFutureLeeway));
  CHECK(timed("exp", -1) == Reason::bad_claim);
  CHECK(with("\"iat\":", "\"nbf\":\"x\",\"iat\":") == Reason::bad_claim);
}

TEST_CASE("records that are missing, doubled, empty or of another type are malformed") {
  for (const char* label : {"quote.attest", "quote.signature", "pcrs", "issuer.public",
                            "issuer.attest", "issuer.signature"}) {
    INFO(label);
    const std::string name = "\"" + std::string(label) + "\"";
    CHECK(with(name, "\"other\"") == Reason::malformed);
    CHECK(with(name + ":[\"", name + ":[\"x") == Reason::malformed);
    CHECK(with(name + ":[", name + ":\"\",\"y\":[") == Reason::malformed);
    CHECK(with(name + ":[", name + ":[],\"y\":[") == Reason::malformed);
    CHECK(with(name, name + ":[\"a/b\",\"\"],\"z\":[],\"quote.attest\"") == Reason::malformed);
  }
  CHECK(with("\"cmw\":{", "\"cmw\":[],\"c\":{") == Reason::malformed);
  CHECK(with(",4],\"quote.signature\"", ",2],\"quote.signature\"") == Reason::malformed);
  CHECK(with(",4],\"quote.signature\"", ",4,4],\"quote.signature\"") == Reason::malformed);
  EvidenceMaker partial;
  partial.custody = "tpm";
  partial.session_certified = true;
  partial.replacements = {{"\"pop.attest\"", "\"x\""}};
  CHECK(verdict(partial) == Reason::malformed);
}

// H25.
TEST_CASE("H25: bombs of JSON, of size and of certificates are refused at their bound") {
  const EvidenceMaker maker;
  const auto expect = maker.expectation();
  CHECK(verdict(maker, std::string(kEvidenceBytes + 1, 'a'), expect) == Reason::too_large);
  const auto bomb = [&](const std::string& member) {
    EvidenceMaker bad;
    bad.replacements = {{"\"cmw\":", member + ",\"cmw\":"}};
    return verdict(bad);
  };
  std::string deep = "\"d\":" + std::string(10'000, '[') + std::string(10'000, ']');
  CHECK(bomb(deep) == Reason::malformed);
  std::string wide = "\"w\":[0";
  for (int i = 0; i < 1000; ++i) wide += ",0";
  CHECK(bomb(wide + "]") == Reason::malformed);
  EvidenceMaker certificates;
  for (int i = 0; i < 300; ++i)
    certificates.ek_chain += "-----BEGIN CERTIFICATE-----" + std::string(64, 'A');
  CHECK(verdict(certificates) == Reason::malformed);
  EvidenceMaker logs;
  logs.event_log = std::string(kEventLogBytes + 1, 'e');
  CHECK(verdict(logs) == Reason::malformed);
  logs.event_log = std::string(kEventLogBytes, 'e');
  logs.ima_log = std::string(kImaLogBytes, 'i');
  const auto largest = logs.appraise();
  INFO((largest.good() ? "" : largest.rejection->what));
  CHECK(largest.good());
}

TEST_CASE("no single bit of evidence can change without a refusal") {
  const EvidenceMaker maker;
  const std::string good = maker.make();
  const auto expect = maker.expectation();
  for (std::size_t i = 0; i < good.size(); i += 37) {
    std::string bad = good;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    if (bad != good) CHECK(verdict(maker, bad, expect) != std::nullopt);
  }
}

TEST_CASE("an attestation result is never better than its worst entry") {
  EvidenceMaker maker;
  const auto status = [&](const Appraisal& appraisal) {
    const auto ear = attestation_result(appraisal, maker.expectation(), "test");
    CHECK(ear.at("eat_profile").as_string() == kEarProfile);
    CHECK(ear.at("ear_status") == ear.at("submods").at("host").at("ear_status"));
    return std::string(ear.at("ear_status").as_string());
  };
  CHECK(status(maker.appraise()) == "affirming");
  maker.quote.safe = 0;
  CHECK(status(maker.appraise()) == "warning");
  maker.custody = "tpm";
  CHECK(status(maker.appraise()) == "contraindicated");
}
