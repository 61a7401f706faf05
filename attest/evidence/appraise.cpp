#include "attest/evidence/appraise.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "attest/jose/base64url.h"
#include "attest/limits.h"
#include "attest/tpm/qualified_name.h"

namespace badged::attest {

using tpm::AttestationKey;

namespace {

std::string about(std::string_view why) {
  return std::string("check the evidence: ").append(why);
}

Checked<void> check_parties(const VerifiedClaims& claims, const EvidenceExpectation& expect,
                            Findings& findings) {
  if (claims.profile != kEvidenceProfile)
    return findings.fail("profile", reject(Reason::type, about("it is of another format")),
                         claims.profile);
  findings.pass("profile", claims.profile);
  if (claims.audience != expect.audience)
    return findings.fail("audience",
                         reject(Reason::audience, about("it was made for somebody else"),
                                "evidence is for one audience and cannot be relayed"),
                         claims.audience);
  findings.pass("audience", claims.audience);
  const std::string challenge = base64url(claims.challenge);
  if (claims.challenge.size() != expect.challenge.size() ||
      CRYPTO_memcmp(claims.challenge.data(), expect.challenge.data(), expect.challenge.size()) != 0)
    return findings.fail("challenge",
                         reject(Reason::nonce, about("it answers another challenge"),
                                "ask for evidence over the challenge that you give here"),
                         challenge);
  findings.pass("challenge", challenge);
  if (claims.expires_at && *claims.expires_at <= expect.now)
    return findings.fail(
        "expires_at", reject(Reason::expired, about("its exp has passed"), "ask for new evidence"),
        std::to_string(*claims.expires_at));
  if (std::max(claims.issued_at, claims.not_before.value_or(0)) > expect.now + kFutureLeeway)
    return findings.fail("issued_at",
                         reject(Reason::not_yet_valid, about("it was made in the future"),
                                "compare the clocks of host and verifier"),
                         std::to_string(claims.issued_at));
  findings.pass("issued_at", std::to_string(claims.issued_at));
  return {};
}

// Which key the evidence speaks for, and that it lives where the host says.
Checked<void> check_spoken_for(const VerifiedEvidence& evidence, Findings& findings) {
  const VerifiedClaims& claims = evidence.claims();
  const bool of_host = claims.jkt.empty();
  const bool certified = of_host || evidence.session_key().has_value();
  if (of_host && evidence.session_key())
    return findings.fail(
        "spoken_for",
        reject(Reason::binding, about("a session's key is certified, and none is spoken for")));
  if (!of_host && evidence.session_key()) {
    auto point = p256_key(evidence.session_key()->area());
    if (!point || thumbprint(*point) != claims.jkt)
      return findings.fail(
          "spoken_for",
          reject(Reason::binding, about("the certified session key is not the one in cnf.jkt")),
          claims.jkt);
  }
  if ((claims.custody == "tpm") != certified)
    return findings.fail(
        "spoken_for",
        reject(Reason::not_attested, about("where the key lives is not what its TPM certifies")),
        claims.custody);
  const std::string who = of_host ? "the TPM's issuer key" : "session key " + claims.jkt;
  if (certified)
    findings.pass("spoken_for", who + ", in the TPM");
  else
    findings.pass("spoken_for", who + ", " + claims.custody + " as the host says");
  return {};
}

Checked<void> check_the_quote(const VerifiedEvidence& evidence, const EvidenceExpectation& expect,
                              Findings& findings) {
  const std::string& jkt = evidence.claims().jkt;
  Digest key{};
  decode_base64url(jkt.empty() ? evidence.issuer_thumbprint() : jkt, key);
  const Digest binding = evidence_binding(expect.challenge, key, expect.audience);
  tpm::QuoteExpectation quote;
  quote.extra_data = binding;
  quote.selection = expect.selection;
  quote.pcrs = &evidence.pcrs();
  quote.pcrs_are_the_senders = true;
  if (expect.allow_sha1_bank) quote.sha1_bank = tpm::QuoteExpectation::Sha1Bank::warn;
  return check_quote(evidence.quote(), quote, findings);
}

// The AK's Name: of the pinned TPMT_PUBLIC, or of the one in the evidence where that is the same
// key.
Checked<Bytes> name_of(const AttestationKey& ak, const Records& records) {
  if (!records.has(kAkPublic)) return ak.name();
  const auto other = [] {
    return reject(Reason::binding, about("its ak.public is not the pinned attestation key"));
  };
  if (!ak.name().empty()) {
    auto name = tpm::compute_name(records[kAkPublic]);
    if (!name || *name != ak.name()) return other();
    return std::move(*name);
  }
  auto sent = AttestationKey::from_public_area(records[kAkPublic]);
  if (!sent) return sent.error();
  if (sent->fingerprint() != ak.fingerprint()) return other();
  return sent->name();
}

Checked<std::string> place_of(const Bytes& name, const Bytes& signer, const Records& records) {
  if (const auto hierarchy = tpm::primary_in(name, signer))
    return "a primary of the " + std::string(to_string(*hierarchy)) + " hierarchy";
  if (!records.has(kEkPublic)) return std::string();
  auto parent = tpm::compute_name(records[kEkPublic]);
  if (!parent) return reject(Reason::malformed, parent.error());
  auto qualified = qualified_name_of_primary(tpm::Hierarchy::endorsement, *parent);
  if (qualified) qualified = tpm::qualified_name_of_child(*qualified, name);
  if (!qualified || *qualified != signer)
    return reject(Reason::not_attested,
                  about("qualifiedSigner is not the pinned key under the endorsement key sent"));
  return std::string("a child of the endorsement key sent");
}

Checked<void> check_signer(const AttestationKey& ak, const VerifiedEvidence& evidence,
                           Findings& findings) {
  constexpr std::string_view kCheck = "qualified_signer";
  const Bytes& signer = evidence.quote().attest().qualified_signer;
  const bool same =
      evidence.issuer_key().attest().qualified_signer == signer &&
      (!evidence.session_key() || evidence.session_key()->attest().qualified_signer == signer);
  if (!same)
    return findings.fail(kCheck, reject(Reason::not_attested,
                                        about("quote and certifications name different signers")));
  auto name = name_of(ak, evidence.records());
  if (!name) return findings.fail(kCheck, name.error());
  if (name->empty()) {
    findings.skip("qualified_signer", "the key's Name is not known: no TPMT_PUBLIC of it");
    return {};
  }
  auto place = place_of(*name, signer, evidence.records());
  if (!place) return findings.fail(kCheck, place.error());
  if (place->empty())
    findings.skip("qualified_signer", "the key's parent is not known: no ek.public");
  else
    findings.pass(kCheck, *place);
  return {};
}

void name_the_rest(const AttestationKey& ak, const VerifiedEvidence& evidence, Findings& findings) {
  const Records& records = evidence.records();
  if (ak.name().empty())
    findings.skip("ak_attributes",
                  "a bare public key is pinned: whoever chose it vouches that it is restricted and "
                  "in a TPM; pin its TPMT_PUBLIC to have that checked");
  else
    findings.pass("ak_attributes", "restricted, sign, fixedTPM, fixedParent, sensitiveDataOrigin");
  findings.skip("enrolment", "that the pinned key is a TPM's is for whoever pinned it to say");
  findings.skip("ek_chain", records.has(kEkChain) ? "attached, not looked into" : "not attached");
  findings.skip("event_log", records.event_log_size() != 0
                                 ? "attached, not replayed: PCR 0 to 7 may be anything"
                                 : "not attached");
  findings.skip("ima_log", records.ima_log_size() != 0 ? "attached, not replayed" : "not attached");
  findings.skip("reference_values", "whether these PCR values are the wanted ones");
  for (const auto& label : records.unknown())
    findings.skip("record:" + label, "a record that this verifier does not know");
}

void note_progress(const std::optional<TpmState>& seen, const TpmState& now, Findings& findings) {
  if (!seen) return findings.pass("state", "seen for the first time");
  findings.pass(
      "state", std::to_string(now.reset_count - seen->reset_count) + " resets since the last time");
  const std::string firmware = std::to_string(now.firmware_version);
  if (now.firmware_version == seen->firmware_version) return findings.pass("firmware", firmware);
  findings.warn("firmware", std::to_string(seen->firmware_version) + " -> " + firmware,
                "the TPM's firmware version is another than the last time");
}

Checked<void> compare_and_remember(const AttestationKey& ak, const VerifiedEvidence& evidence,
                                   std::optional<StateFile> state, Findings& findings) {
  if (!state) {
    findings.skip("state",
                  "nothing is remembered: clock, counters and firmware may have gone back");
    return {};
  }
  const TpmState now = TpmState::of(ak, evidence.quote());
  const std::optional<TpmState> seen = state->seen();
  if (seen) {
    const bool safe = evidence.quote().attest().clock.safe;
    if (auto forward = compare_state(*seen, now, safe, findings); !forward) return forward;
  }
  if (auto kept = std::move(*state).replace(now); !kept)
    return findings.fail("state", kept.error());
  note_progress(seen, now, findings);
  return {};
}

}  // namespace

Checked<void> check_evidence(const AttestationKey& ak, const VerifiedEvidence& evidence,
                             const EvidenceExpectation& expect, Findings& findings) {
  if (auto good = check_parties(evidence.claims(), expect, findings); !good) return good;
  if (auto good = check_spoken_for(evidence, findings); !good) return good;
  if (auto good = check_the_quote(evidence, expect, findings); !good) return good;
  if (auto good = check_signer(ak, evidence, findings); !good) return good;
  name_the_rest(ak, evidence, findings);
  return {};
}

Appraisal appraise(const AttestationKey& ak, std::string_view evidence,
                   const EvidenceExpectation& expect, std::optional<StateFile> state) {
  Appraisal out;
  auto unverified = UnverifiedEvidence::parse(evidence);
  if (!unverified) {
    out.rejection = out.findings.fail("form", unverified.error());
    return out;
  }
  auto verified = std::move(*unverified).verify(ak, out.findings);
  if (!verified) {
    out.rejection = verified.error();
    return out;
  }
  out.evidence = std::move(*verified);
  auto good = check_evidence(ak, *out.evidence, expect, out.findings);
  if (good) good = compare_and_remember(ak, *out.evidence, std::move(state), out.findings);
  if (!good) out.rejection = good.error();
  return out;
}

}  // namespace badged::attest
