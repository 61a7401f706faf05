// Evidence: the input as it is, and as the payload of evidence whose every signature holds.
#include "attest/evidence/appraise.h"
#include "attest/evidence/result.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/signer.h"

namespace {

using namespace badged;
using namespace badged::attest;

Appraisal check(std::string_view evidence) {
  static const fuzz::Signer signer;
  static const auto ak = tpm::AttestationKey::from_key(signer.key).value();
  static const Bytes challenge(32, 0x5A);
  const EvidenceExpectation expect{.challenge = challenge,
                                   .audience = "https://relying.example.org/",
                                   .selection = {},
                                   .allow_sha1_bank = true,
                                   .now = 1'800'000'000};
  Appraisal appraisal = appraise(ak, evidence, expect);
  const auto result = attestation_result(appraisal, expect, "fuzz");
  const auto& status = result.at("ear_status").as_string();
  require(appraisal.good() || status == "contraindicated" || status == "none",
          "refused evidence is never affirmed");
  return appraisal;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Signer signer;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  require(!check(text).good(), "nobody signs evidence by chance");
  // One key plays both the AK and the issuer: then what the payload holds decides.
  const auto appraisal = check(signer.jws(evidence_header(thumbprint(signer.key)), text));
  if (appraisal.good())
    require(appraisal.evidence->claims().audience == "https://relying.example.org/",
            "good evidence is for the audience");
  return 0;
}
