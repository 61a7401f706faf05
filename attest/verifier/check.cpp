#include "attest/verifier/check.h"

#include <CLI/CLI.hpp>
#include <ctime>

#include "attest/evidence/result.h"
#include "attest/jose/base64url.h"
#include "attest/json/text.h"
#include "attest/verifier/input.h"
#include "attest/verifier/report.h"

namespace badged::verifier {

using namespace badged::attest;
namespace json = boost::json;

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  badgectl evidence --challenge $CHALLENGE --audience https://relying.example.org/ \\\n"
    "      --out evidence\n"
    "  badge-verifier check --ak ak.pem --challenge $CHALLENGE \\\n"
    "      --audience https://relying.example.org/ --pcrs sha256:0,1,7 --state host.state "
    "evidence\n"
    "The challenge is base64url of 16 to 64 random bytes of yours, used once.\n"
    "Exit codes: 0 good, 1 refused, 2 wrong usage, 3 malformed or unreadable input,\n"
    "  4 the state file cannot be used, 5 another process has had it locked for 5 s.";

json::object claims_json(const VerifiedEvidence& evidence) {
  const VerifiedClaims& claims = evidence.claims();
  json::object out{{"iss", claims.issuer},      {"sub", claims.subject},
                   {"aud", claims.audience},    {"iat", claims.issued_at},
                   {"custody", claims.custody}, {"issuer_key", evidence.issuer_thumbprint()}};
  if (!claims.jkt.empty()) out["jkt"] = claims.jkt;
  json::object pcrs;
  for (const auto& value : evidence.pcrs().all()) {
    auto& bank = pcrs[tpm::bank_name(value.bank)];
    if (!bank.is_object()) bank.emplace_object();
    bank.get_object()[std::to_string(value.pcr)] = tpm::hex(value.digest());
  }
  out["pcrs"] = std::move(pcrs);
  return out;
}

// What is malformed or cannot be used is no verdict on the host, and no EAR.
Outcome outcome_of(const Appraisal& appraisal, const EvidenceExpectation& expect) {
  json::object ear = attestation_result(appraisal, expect, BADGED_VERSION);
  add_findings(ear, appraisal.findings);
  if (!appraisal.good()) {
    Outcome outcome = rejected_with(*appraisal.rejection, appraisal.findings);
    if (outcome.exit == kNo)
      for (auto& [name, value] : ear) outcome.json[name] = std::move(value);
    return outcome;
  }
  const VerifiedEvidence& evidence = *appraisal.evidence;
  ear["evidence"] = claims_json(evidence);
  Outcome outcome;
  outcome.json = std::move(ear);
  outcome.text = appraisal.findings.warned() ? "good, with warnings" : "good";
  outcome.text += ": evidence of ";
  outcome.text += in_quotes(evidence.claims().subject);
  outcome.text += describe(appraisal.findings);
  return outcome;
}

struct Input {
  tpm::AttestationKey ak;
  std::string evidence;
};

Checked<Input> read_files(const CheckOptions& options) {
  auto file = read_input(options.ak, kAkFileBytes);
  if (!file) return reject(Reason::malformed, file.error());
  auto ak = tpm::AttestationKey::from_file(as_bytes(*file));
  if (!ak) return ak.error();
  auto evidence = read_line_input(options.evidence, kEvidenceBytes);
  if (!evidence) return reject(Reason::malformed, evidence.error());
  return Input{std::move(*ak), std::move(*evidence)};
}

Outcome decide(const CheckOptions& options, const EvidenceExpectation& expect) {
  auto input = read_files(options);
  if (!input) {
    if (input.error().reason == Reason::malformed) return unreadable(input.error());
    Appraisal unfit;
    unfit.rejection = unfit.findings.fail("ak", input.error());
    return outcome_of(unfit, expect);
  }
  if (!options.state) return outcome_of(appraise(input->ak, input->evidence, expect), expect);
  auto state = StateFile::open(*options.state);
  if (!state) return rejected("invalid_state", state.error());
  return outcome_of(appraise(input->ak, input->evidence, expect, std::move(*state)), expect);
}

}  // namespace

CLI::App* add_check_verb(CLI::App& app, CheckOptions& options) {
  auto* verb = app.add_subcommand("check", "Check a host's or an agent's evidence");
  verb->footer(std::string(kExamples) + kInputHelp);
  verb->add_option(
          "--ak", options.ak,
          "The host's attestation key: PUBLIC KEY as PEM or DER, TPMT_PUBLIC, TPM2B_PUBLIC")
      ->required();
  verb->add_option("--challenge", options.challenge, "What was asked, in base64url")->required();
  verb->add_option("--audience", options.audience, "Whom it must be for, compared whole")
      ->required();
  verb->add_option("--pcrs", options.pcrs, "The PCRs that must be quoted: sha256:0,1,7[+sha384:0]");
  verb->add_option("--state", options.state, "Remembers the TPM's counters in this file");
  verb->add_flag("--allow-sha1-bank", options.allow_sha1_bank, "Accept PCRs of SHA-1, warn");
  verb->add_option("--at", options.at, "Check as of this Unix time instead of now")
      ->check(CLI::Range(std::int64_t{0}, kLatestTime));
  verb->add_option("EVIDENCE", options.evidence, "A file; - is standard input")->required();
  return verb;
}

Outcome run_check(const CheckOptions& options) {
  if (options.state == "-")
    return misused("check",
                   "--state names a file that is read and written: standard input is none");
  if (options.ak == "-" && options.evidence == "-")
    return misused("check", "standard input can be only one of the files");
  auto challenge = decode_base64url(options.challenge, kChallengeMax);
  if (!challenge || challenge->size() < kChallengeMin)
    return misused("check", "--challenge: not base64url, without padding, of 16 to 64 bytes");
  EvidenceExpectation expect{.challenge = *challenge,
                             .audience = options.audience,
                             .selection = {},
                             .allow_sha1_bank = options.allow_sha1_bank,
                             .now = options.at.value_or(std::time(nullptr))};
  if (options.pcrs) {
    auto selection = tpm::parse_selection(*options.pcrs);
    if (!selection) return misused("check", "--pcrs: " + selection.error().what);
    expect.selection = std::move(*selection);
  }
  return decide(options, expect);
}

}  // namespace badged::verifier
