// A relying party that checks a host's evidence itself, with badged's library. CMakeLists.txt
// beside this builds it; attest/attest.h says what else there is.
//
//   check_evidence AK-FILE CHALLENGE AUDIENCE < evidence
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>

#include "attest/attest.h"

using namespace badged;
using namespace badged::attest;

static std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), {}};
}

int main(int argc, char** argv) {
  if (argc != 4) return std::cerr << "usage: check_evidence AK-FILE CHALLENGE AUDIENCE\n", 2;
  std::ifstream ak_file(argv[1], std::ios::binary);
  const std::string ak_text = read_all(ak_file);
  auto ak = tpm::AttestationKey::from_file(as_bytes(ak_text));
  auto challenge = decode_base64url(argv[2], kChallengeMax);
  if (!ak || !challenge) return std::cerr << "no attestation key, or no challenge\n", 3;

  std::string evidence = read_all(std::cin);
  if (evidence.ends_with('\n')) evidence.pop_back();
  const EvidenceExpectation expect{.challenge = *challenge,
                                   .audience = argv[3],
                                   .selection = tpm::parse_selection("sha256:0,1,7").value(),
                                   .now = std::time(nullptr)};
  const Appraisal appraisal = appraise(*ak, evidence, expect);

  for (const auto& skip : appraisal.findings.not_checked())
    std::cout << "not checked: " << skip.check << "\n";
  if (!appraisal.good()) return std::cout << "refused: " << appraisal.rejection->what << "\n", 1;
  for (const auto& pcr : appraisal.evidence->pcrs().all())
    std::cout << tpm::bank_name(pcr.bank) << ":" << pcr.pcr << " " << tpm::hex(pcr.digest())
              << "\n";
  std::cout << "good: " << appraisal.evidence->claims().subject << "\n";
}
