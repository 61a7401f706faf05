#include "daemon/tokens/subject_issuers.h"

#include <fcntl.h>

#include <algorithm>

#include "attest/limits.h"
#include "daemon/agents/guarded_file.h"

namespace badged::tokens {

using attest::Checked;
using attest::Reason;
using attest::SubjectToken;

namespace {

attest::Rejection other_type(const std::string& typ) {
  if (typ.empty())
    return attest::reject(Reason::type, "check the subject token: it has no typ",
                          "an admin lists \"absent\" under `typ` of an issuer that writes none");
  return attest::reject(Reason::type, "check the subject token: its typ is of another use",
                        "an admin lists what its issuer writes under `typ`");
}

}  // namespace

std::shared_ptr<const SubjectIssuers> SubjectIssuers::load(
    std::span<const agents::SubjectIssuer> named, std::string_view config_file,
    agents::Diagnostics& problems) {
  auto out = std::make_shared<SubjectIssuers>();
  agents::Reporter report(config_file, problems);
  for (const auto& issuer : named) {
    const auto about = "the keys of " + agents::quoted(issuer.issuer) + " in " +
                       agents::printable(issuer.jwks_file) + ": ";
    const auto text = agents::read_guarded_file(AT_FDCWD, issuer.jwks_file, attest::kJwksBytes);
    if (!text) {
      report.error(issuer.at, about + text.error().what, text.error().hint);
      continue;
    }
    auto keys = attest::TrustedKeys::parse(*text, issuer.algorithms);
    if (!keys) {
      report.error(issuer.at, about + keys.error().what,
                   "put the issuer's public JWKS there, whole, and list its algorithms");
      continue;
    }
    out->entries_.push_back({issuer.issuer, issuer.types, std::move(*keys)});
  }
  return out;
}

bool SubjectIssuers::knows(std::string_view issuer) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.issuer == issuer; });
}

Checked<SubjectToken> SubjectIssuers::verify(std::string_view compact, std::string_view audience,
                                             std::int64_t now) const {
  const auto unverified = attest::UnverifiedSubject::parse(compact);
  if (!unverified) return unverified.error();
  auto refusal = attest::reject(
      Reason::unknown_key, "check the subject token: no issuer that is configured here has its key",
      "tokens of other hosts and of issuers not in badged.toml are refused; or its keys rotated");
  for (const auto& entry : entries_) {
    const auto* key = entry.keys.find(unverified->kid());
    if (key == nullptr) continue;
    // Two issuers may name their keys alike: what another one would refuse says nothing yet.
    if (std::find(entry.types.begin(), entry.types.end(), unverified->typ()) == entry.types.end()) {
      refusal = other_type(unverified->typ());
      continue;
    }
    auto token = unverified->verify(*key, {entry.issuer, audience, now});
    if (token || token.error().reason != Reason::signature) return token;
    if (refusal.reason == Reason::unknown_key) refusal = token.error();
  }
  return refusal;
}

}  // namespace badged::tokens
