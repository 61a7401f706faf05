// What POST /v1/evidence asks for, out of its fields. A pure function.
#pragma once

#include <string>

#include "daemon/front/request.h"
#include "keystore/quote.h"

namespace badged::calls {

struct EvidenceAsk {
  Bytes challenge;  // attest::kChallengeMin to kChallengeMax bytes
  std::string audience;
  std::vector<keystore::PcrSelection> pcrs;  // banks ascending
};

// Where none are asked for: what firmware, boot loader, kernel and IMA measure (TCG PC Client
// Platform Firmware Profile 3.3.4; 0 to 15 are those that only a reset clears), which a TPM reads
// in two commands.
inline constexpr keystore::PcrSelection kDefaultPcrs{keystore::Bank::sha256, 0xFFFF};

// `challenge`: canonical base64url; `audience`: agents::is_audience; `pcrs`, if given:
// {"sha256":[0,1,7]} with known banks, each with PCRs 0 to 23, none twice. The error's text is for
// the caller.
Result<EvidenceAsk> read_evidence_ask(const front::Request& request);

// "sha256:0,1,7 sha384:0", for the audit.
std::string to_text(const std::vector<keystore::PcrSelection>& pcrs);

}  // namespace badged::calls
