#include "attest/evidence/result.h"

#include <boost/json/array.hpp>

#include "attest/jose/base64url.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

// draft-ietf-rats-ar4si: the first number of each tier, and what every category has in common.
constexpr int kAffirming = 2;
constexpr int kWarning = 32;
constexpr int kContraindicated = 96;
constexpr int kSignatureFailed = 99;  // of all categories: the evidence's cryptographic validation

std::string_view status_of(const json::object& vector) {
  std::int64_t worst = 0;
  for (const auto& entry : vector) worst = std::max(worst, entry.value().as_int64());
  if (worst >= kContraindicated) return "contraindicated";
  if (worst >= kWarning) return "warning";
  return worst >= kAffirming ? "affirming" : "none";
}

// What could not be read, or could not be remembered, says nothing about the host: no claim.
json::object vector_of(const Appraisal& appraisal) {
  json::object vector;
  if (appraisal.good()) {
    vector["instance-identity"] = kAffirming;
    if (appraisal.findings.warned()) vector["configuration"] = kWarning;
    return vector;
  }
  switch (appraisal.rejection->reason) {
    // Not this party's, not this challenge's, not now: nothing that this host signed for the
    // question that was asked. Of its key that says nothing.
    case Reason::signature:
    case Reason::audience:
    case Reason::nonce:
    case Reason::replayed:
    case Reason::expired:
    case Reason::not_yet_valid:
      vector["instance-identity"] = kSignatureFailed;
      return vector;
    case Reason::malformed:
    case Reason::too_large:
    case Reason::state_broken:
    case Reason::busy:
      return vector;
    case Reason::selection:
    case Reason::pcr_values:
      vector["configuration"] = kContraindicated;
      return vector;
    default:
      vector["instance-identity"] = kContraindicated;
      return vector;
  }
}

}  // namespace

json::object attestation_result(const Appraisal& appraisal, const EvidenceExpectation& expect,
                                std::string_view build) {
  json::object vector = vector_of(appraisal);
  const std::string_view status = status_of(vector);
  json::object host{{"ear_status", status},
                    {"ear_trustworthiness_vector", std::move(vector)},
                    {"ear_appraisal_policy_ids", json::array{kPolicyId}}};
  return {{"eat_profile", kEarProfile},
          {"iat", expect.now},
          {"ear_verifier_id", {{"developer", "badged"}, {"build", build}}},
          {"eat_nonce", base64url(expect.challenge)},
          {"ear_status", status},
          {"submods", {{"host", std::move(host)}}}};
}

}  // namespace badged::attest
