#include "attest/verifier/quote.h"

#include <CLI/CLI.hpp>

#include "attest/tpm/qualified_name.h"
#include "attest/tpm/quote.h"
#include "attest/verifier/input.h"
#include "attest/verifier/report.h"

namespace badged::verifier {

using namespace badged::attest;
using namespace badged::attest::tpm;
namespace json = boost::json;

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  tpm2_quote -c ak.ctx -l sha256:0,1,7 -q 0123456789abcdef0123456789abcdef \\\n"
    "      -m quote.attest -s quote.signature\n"
    "  badge-verifier quote --ak ak.pem --attest quote.attest --signature quote.signature \\\n"
    "      --nonce 0123456789abcdef0123456789abcdef --pcrs pcrs.json\n"
    "pcrs.json holds the quoted values and no other: {\"sha256\":{\"0\":\"HEX\",\"1\":\"HEX\"}}\n"
    "Exit codes: 0 good, 1 refused, 2 wrong usage, 3 malformed or unreadable input.";

struct Files {
  Bytes ak, attest, signature;
  std::optional<PcrValues> pcrs;
};

Result<Bytes> read_bytes(const std::string& path, std::size_t max_bytes) {
  auto text = read_input(path, max_bytes);
  if (!text) return text.error();
  const auto view = as_bytes(*text);
  return Bytes(view.begin(), view.end());
}

Checked<Files> read_files(const QuoteOptions& options) {
  Files files;
  for (const auto& [path, into, limit] :
       {std::tuple(&options.ak, &files.ak, kAkFileBytes),
        std::tuple(&options.attest, &files.attest, kTpmStructureBytes),
        std::tuple(&options.signature, &files.signature, kTpmStructureBytes)}) {
    auto bytes = read_bytes(*path, limit);
    if (!bytes) return reject(Reason::malformed, bytes.error());
    *into = std::move(*bytes);
  }
  if (!options.pcrs) return files;
  auto text = read_input(*options.pcrs, kPcrsBytes);
  if (!text) return reject(Reason::malformed, text.error());
  auto values = PcrValues::parse(*text);
  if (!values)
    return reject(values.error().code == Errc::refused ? Reason::algorithm : Reason::malformed,
                  values.error());
  files.pcrs = std::move(*values);
  return files;
}

std::optional<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0 || text.size() > 2 * kTpmDataBytes) return std::nullopt;
  Bytes out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    for (const char c : text.substr(i, 2)) {
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
      value = value << 4 | static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    out.push_back(static_cast<std::uint8_t>(value));
  }
  return out;
}

void note_signer(const AttestationKey& ak, const VerifiedQuote& quote, Findings& findings) {
  if (ak.name().empty()) {
    findings.skip("ak_attributes",
                  "a bare public key was given: whoever chose it vouches that it is restricted and "
                  "in a TPM; give its TPMT_PUBLIC to have that checked");
    findings.skip("qualified_signer", "the key's Name is not known");
    return;
  }
  findings.pass("ak_attributes", "restricted, sign, fixedTPM, fixedParent, sensitiveDataOrigin");
  if (const auto hierarchy = primary_in(ak.name(), quote.attest().qualified_signer))
    findings.pass("qualified_signer",
                  "a primary of the " + std::string(to_string(*hierarchy)) + " hierarchy");
  else
    findings.skip("qualified_signer", "the key's parent is not known");
}

json::object quote_json(const VerifiedQuote& quote) {
  const Attest& attest = quote.attest();
  return {{"extra_data", hex(attest.extra_data)},
          {"selection", selection_text(quote.info().selections)},
          {"pcr_digest", hex(quote.info().digest)},
          {"scheme", scheme_text(quote.scheme())},
          {"qualified_signer", hex(attest.qualified_signer)},
          {"clock", attest.clock.clock},
          {"reset_count", attest.clock.reset_count},
          {"restart_count", attest.clock.restart_count},
          {"safe", attest.clock.safe},
          {"firmware_version", std::to_string(attest.firmware_version)}};  // 64 bits: not a double
}

Outcome decide(const Files& files, const std::optional<Bytes>& nonce) {
  Findings findings;
  auto ak = AttestationKey::from_file(files.ak);
  if (!ak) return rejected_with(findings.fail("ak", ak.error()), findings);
  auto quote = VerifiedQuote::verify(*ak, files.attest, files.signature, findings);
  if (!quote) return rejected_with(quote.error(), findings);
  QuoteExpectation expect{.extra_data = {},
                          .selection = {},
                          .pcrs = files.pcrs ? &*files.pcrs : nullptr,
                          .sha1_bank = QuoteExpectation::Sha1Bank::warn};
  if (nonce) expect.extra_data = *nonce;
  if (auto good = check_quote(*quote, expect, findings); !good)
    return rejected_with(good.error(), findings);
  note_signer(*ak, *quote, findings);
  findings.skip("enrolment", "that this key is a TPM's is for whoever chose it to say");
  findings.skip("reference_values", "whether these PCR values are the wanted ones");
  Outcome outcome;
  outcome.text = std::string(findings.warned() ? "good, with warnings" : "good") +
                 ": a quote over " + selection_text(quote->info().selections) + describe(findings);
  outcome.json = {{"valid", true}, {"quote", quote_json(*quote)}};
  add_findings(outcome.json, findings);
  return outcome;
}

}  // namespace

CLI::App* add_quote_verb(CLI::App& app, QuoteOptions& options) {
  auto* verb = app.add_subcommand("quote", "Check a bare quote of a TPM");
  verb->footer(std::string(kExamples) + kInputHelp);
  verb->add_option("--ak", options.ak,
                   "The attestation key: PUBLIC KEY as PEM or DER, TPMT_PUBLIC, TPM2B_PUBLIC")
      ->required();
  verb->add_option("--attest", options.attest, "TPMS_ATTEST, a file")->required();
  verb->add_option("--signature", options.signature, "TPMT_SIGNATURE, a file")->required();
  verb->add_option("--nonce", options.nonce, "The quote's extraData in hex, compared whole");
  verb->add_option("--pcrs", options.pcrs, "The quoted PCR values as JSON, a file");
  return verb;
}

Outcome run_quote(const QuoteOptions& options) {
  const int from_stdin = (options.ak == "-") + (options.attest == "-") +
                         (options.signature == "-") + (options.pcrs == "-");
  if (from_stdin > 1) return misused("quote", "standard input can be only one of the files");
  std::optional<Bytes> nonce;
  if (options.nonce) {
    nonce = from_hex(*options.nonce);
    if (!nonce) return misused("quote", "--nonce: not hex digits of at most 66 bytes");
  }
  auto files = read_files(options);
  if (!files) {
    if (files.error().reason == Reason::malformed) return unreadable(files.error());
    return rejected("invalid_evidence", files.error());
  }
  return decide(*files, nonce);
}

}  // namespace badged::verifier
