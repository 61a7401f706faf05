// An appraisal as EAT Attestation Result: draft-ietf-rats-ear-04, the claims set as JSON, unsigned.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "attest/evidence/appraise.h"

namespace badged::attest {

constexpr std::string_view kEarProfile = "tag:ietf.org,2026:rats/ear#04";
// ear_appraisal_policy_ids: the checks of appraise.h, in this version.
constexpr std::string_view kPolicyId = "tag:badged.invalid,2026:policy/evidence#1";

// {eat_profile, iat, ear_verifier_id, eat_nonce, ear_status, submods: {host: {ear_status,
// ear_trustworthiness_vector, ear_appraisal_policy_ids}}}. ear_status, also at the top, is the tier
// of the worst entry of the vector: `affirming`, `warning` where a check warned, `contraindicated`
// where one failed, `none` where nothing was found out: what came is malformed or too large, or our
// state cannot be used. What was not looked at (hardware, executables, …) has no entry: no claim.
boost::json::object attestation_result(const Appraisal& appraisal,
                                       const EvidenceExpectation& expect, std::string_view build);

}  // namespace badged::attest
