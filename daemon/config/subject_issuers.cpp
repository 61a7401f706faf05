// [[subject_issuer]]: whose tokens agents may act for.
#include <algorithm>

#include "daemon/agents/limits.h"
#include "daemon/config/parts.h"

namespace badged::config {
namespace {

using agents::Need;
using agents::quoted;
using agents::TomlTable;

constexpr std::size_t kMaxAlgorithms = 4;  // all there are
constexpr std::size_t kMaxTypes = 4;       // an issuer writes one or two
constexpr std::size_t kMaxTypeBytes = 64;  // a media type

// Lower case, as they are compared. "absent" stands for a token without `typ`.
std::vector<std::string> read_types(TomlTable& table) {
  if (!table.has("typ")) return {"at+jwt", "jwt"};
  std::vector<std::string> types;
  for (auto& item : table.texts("typ", kMaxTypes, kMaxTypeBytes)) {
    std::transform(item.text.begin(), item.text.end(), item.text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    constexpr std::string_view kOtherUses[] = {"dpop+jwt", "badged-vouch+jwt", "secevent+jwt",
                                               "logout+jwt"};
    if (std::find(std::begin(kOtherUses), std::end(kOtherUses), item.text) != std::end(kOtherUses))
      table.error("typ", "'typ' in [[subject_issuer]] cannot be " + quoted(item.text),
                  "that is no token on whose behalf anybody acts; \"at+jwt\" and \"JWT\" are");
    types.push_back(item.text == "absent" ? std::string() : std::move(item.text));
  }
  if (types.empty()) table.error("typ", "'typ' in [[subject_issuer]] lists nothing");
  return types;
}

agents::SubjectIssuer read_subject_issuer(TomlTable& table, const Config& config) {
  agents::SubjectIssuer out;
  out.at = table.at();
  out.issuer = table.text("issuer", Need::required, kMaxIssuerBytes).value_or("");
  if (!out.issuer.empty() && !out.issuer.starts_with("https://"))
    table.error("issuer", "'issuer' in [[subject_issuer]] is no https URL: " + quoted(out.issuer),
                "the exact `iss` of its tokens");
  if (!out.issuer.empty() && out.issuer == config.issuer)
    table.error("issuer", "'issuer' in [[subject_issuer]] is this badged itself",
                "its keys are known; a record says by `act_for` who may take what others hand on");
  if (table.has("jwks_file")) {
    read_path(table, "jwks_file", kMaxPathBytes, out.jwks_file);
  } else {
    table.error("jwks_file", "no 'jwks_file' in [[subject_issuer]]",
                "the issuer's public keys as a file; badged fetches nothing");
  }
  for (const auto& item : table.texts("algorithms", kMaxAlgorithms, 16)) {
    const auto algorithm = attest::subject_algorithm_from(item.text);
    if (algorithm) out.algorithms.push_back(*algorithm);
    if (!algorithm)
      table.error("algorithms",
                  "'algorithms' in [[subject_issuer]] cannot hold " + quoted(item.text),
                  "one or more of ES256, RS256, PS256, EdDSA");
  }
  const auto* listed = table.any("algorithms");
  if (listed == nullptr || (listed->is_array() && listed->as_array()->empty()))
    table.error("algorithms", "no 'algorithms' in [[subject_issuer]]",
                "pin what the issuer signs with: algorithms = [\"ES256\"]");
  out.types = read_types(table);
  table.finish();
  return out;
}

}  // namespace

void read_subject_issuers(TomlTable& doc, Config& config) {
  for (auto& table : doc.tables("subject_issuer", agents::kMaxSubjectIssuers)) {
    auto issuer = read_subject_issuer(table, config);
    const bool twice =
        std::any_of(config.subject_issuers.begin(), config.subject_issuers.end(),
                    [&](const auto& other) { return other.issuer == issuer.issuer; });
    if (twice)
      table.error("issuer", "two [[subject_issuer]] for " + quoted(issuer.issuer),
                  "put its keys into one file");
    config.subject_issuers.push_back(std::move(issuer));
  }
}

}  // namespace badged::config
