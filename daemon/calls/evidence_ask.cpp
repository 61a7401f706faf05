#include "daemon/calls/evidence_ask.h"

#include <algorithm>
#include <boost/json.hpp>

#include "attest/jose/base64url.h"
#include "attest/json/strict.h"
#include "daemon/agents/audience.h"
#include "daemon/agents/limits.h"

namespace badged::calls {
namespace {

using keystore::PcrSelection;

Error bad(std::string what, std::string hint = {}) {
  return fail(Errc::malformed, std::move(what), std::move(hint));
}

Result<Bytes> read_challenge(std::string_view text) {
  auto challenge = attest::decode_base64url(text, attest::kChallengeMax);
  if (!challenge || challenge->size() < attest::kChallengeMin)
    return bad("challenge must be 16 to 64 bytes as base64url without padding",
               "the verifier makes it, at random, for this one question");
  return challenge;
}

// The number itself; anything else is beyond every PCR.
std::uint64_t number_of(const boost::json::value& value) {
  if (const auto* number = value.if_int64(); number != nullptr && *number >= 0)
    return static_cast<std::uint64_t>(*number);
  return keystore::kPcrs;
}

Result<PcrSelection> read_bank(std::string_view name, const boost::json::value& list) {
  const auto bank = keystore::bank_named(name);
  if (!bank) return bad("pcrs names an unknown bank", "sha1, sha256, sha384 or sha512");
  const auto* numbers = list.if_array();
  if (numbers == nullptr || numbers->empty())
    return bad("pcrs must give a list of PCRs for each bank", R"({"sha256":[0,1,7]})");
  PcrSelection selection{*bank, 0};
  for (const auto& each : *numbers) {
    const auto number = number_of(each);
    if (number >= keystore::kPcrs) return bad("pcrs may name the PCRs 0 to 23");
    const std::uint32_t bit = 1U << number;
    if ((selection.pcrs & bit) != 0) return bad("pcrs names a PCR twice");
    selection.pcrs |= bit;
  }
  return selection;
}

Result<std::vector<PcrSelection>> read_pcrs(std::string_view text) {
  const auto object = attest::parse_strict_object(text);
  if (!object) return bad("pcrs must be an object of lists", R"({"sha256":[0,1,7]})");
  if (object->empty()) return bad("pcrs is empty", "leave it out for sha256:0-15");
  std::vector<PcrSelection> pcrs;
  for (const auto& member : *object) {
    auto bank = read_bank({member.key().data(), member.key().size()}, member.value());
    if (!bank) return bank.error();
    pcrs.push_back(*bank);
  }
  const auto order = [](const PcrSelection& a, const PcrSelection& b) { return a.bank < b.bank; };
  std::sort(pcrs.begin(), pcrs.end(), order);
  return pcrs;
}

}  // namespace

Result<EvidenceAsk> read_evidence_ask(const front::Request& request) {
  EvidenceAsk ask;
  auto challenge = read_challenge(*request.get("challenge"));
  if (!challenge) return challenge.error();
  ask.challenge = std::move(*challenge);
  ask.audience = *request.get("audience");
  if (!agents::is_audience(ask.audience))
    return bad("audience must be a word of at most " + std::to_string(agents::kMaxAudienceBytes) +
                   " printable characters, and no token",
               "the URL or name that the verifier goes by, as in a grant");
  ask.pcrs = {kDefaultPcrs};
  if (const auto text = request.get("pcrs")) {
    auto pcrs = read_pcrs(*text);
    if (!pcrs) return pcrs.error();
    ask.pcrs = std::move(*pcrs);
  }
  return ask;
}

std::string to_text(const std::vector<PcrSelection>& pcrs) {
  std::string text;
  for (const auto& each : pcrs) {
    if (!text.empty()) text += '+';
    text += keystore::to_string(each.bank);
    char before = ':';
    for (std::uint32_t pcr = 0; pcr < keystore::kPcrs; ++pcr) {
      if ((each.pcrs >> pcr & 1) == 0) continue;
      text += before + std::to_string(pcr);
      before = ',';
    }
  }
  return text;
}

}  // namespace badged::calls
