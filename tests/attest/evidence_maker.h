// A host that makes evidence: its keys are ours, its TPM structures are as a TPM would sign them.
#pragma once

#include "attest/evidence/appraise.h"
#include "attest/tpm/qualified_name.h"
#include "tests/attest/tpm_maker.h"

namespace badged::test {

inline Bytes ecc_area(const keystore::PublicKey& key, std::uint32_t attributes,
                      std::uint16_t scheme_hash = 0x000B) {
  Bytes area;
  append(area, 0x0023, 2);
  append(area, 0x000B, 2);
  append(area, attributes, 4);
  append_sized(area, ByteView());
  append(area, 0x0010, 2);  // symmetric: null
  append(area, 0x0018, 2);  // ECDSA
  append(area, scheme_hash, 2);
  append(area, 0x0003, 2);  // P-256
  append(area, 0x0010, 2);  // KDF: null
  append_sized(area, key.x);
  append_sized(area, key.y);
  return area;
}
constexpr std::uint32_t kAkAttributes = 0x00050072;       // restricted
constexpr std::uint32_t kSigningAttributes = 0x00040072;  // not restricted

// Change what you like, then make().
struct EvidenceMaker {
  Resigner ak;
  keystore::MemoryKey issuer = new_key(), session = new_key();
  Bytes challenge = Bytes(32, 0x5A);
  std::string audience = "https://relying.example.org/";
  std::string custody = "locked-memory";
  bool of_session = true;          // else the host's own
  bool session_certified = false;  // the session's key is in the TPM
  std::string pcrs = R"({"sha256":{"0":")" + std::string(64, '0') + R"(","1":")" +
                     std::string(64, '1') + R"(","7":")" + std::string(64, '7') + R"("}})";
  QuoteMaker quote;
  std::uint32_t issuer_attributes = kSigningAttributes;
  Bytes ak_public = ecc_area(ak.key.public_key(), kAkAttributes);
  Bytes ek_public;
  Bytes certifier;          // qualifiedSigner of the certifications, where not the quote's
  Bytes session_certifier;  // the same of the session key's alone
  std::string ek_chain, event_log, ima_log;
  std::string iss = kIssuer;
  std::int64_t iat = kNow;
  // After everything else: claims as text, to replace a part by another.
  std::vector<std::pair<std::string, std::string>> replacements;

  EvidenceMaker() { quote.signer = signer(); }

  std::string jkt() const { return attest::thumbprint(session.public_key()); }
  // A primary of the endorsement hierarchy.
  Bytes signer() const {
    return attest::tpm::qualified_name_of_primary(attest::tpm::Hierarchy::endorsement,
                                                  attest::tpm::compute_name(ak_public).value())
        .value();
  }
  attest::tpm::AttestationKey pinned() const {
    return attest::tpm::AttestationKey::from_file(ak_public).value();
  }

  keystore::Certification certify(const Bytes& area, const Bytes& signer) const {
    Bytes out;
    append(out, attest::tpm::kGeneratedValue, 4);
    append(out, 0x8017, 2);
    append_sized(out, signer.empty() ? quote.signer : signer);
    append_sized(out, ByteView());
    append(out, quote.clock, 8);
    append(out, quote.reset_count, 4);
    append(out, quote.restart_count, 4);
    append(out, 1, 1);
    append(out, quote.firmware, 8);
    const Bytes name = attest::tpm::compute_name(area).value();
    append_sized(out, name);
    append_sized(out, name);  // the qualified one: nobody looks
    return {area, out, ak.sign(out)};
  }

  Bytes quoted() const {
    QuoteMaker made = quote;
    const auto key = of_session ? session.public_key() : issuer.public_key();
    const auto binding =
        attest::evidence_binding(challenge, attest::thumbprint_digest(key), audience);
    if (made.extra_data == Bytes{0x00, 0x11, 0x22, 0x33})  // not set by the test
      made.extra_data.assign(binding.begin(), binding.end());
    return made.over(pcrs).make();
  }

  std::string payload() const {
    const auto of_issuer = certify(ecc_area(issuer.public_key(), issuer_attributes), certifier);
    const auto of_session_key = certify(ecc_area(session.public_key(), kSigningAttributes),
                                        session_certifier.empty() ? certifier : session_certifier);
    const Bytes attest = quoted(), signature = ak.sign(attest);
    const std::string thumb = jkt();
    attest::EvidenceClaims claims{.issuer = iss,
                                  .subject = "spiffe://example.org/host/h",
                                  .audience = audience,
                                  .challenge = challenge,
                                  .issued_at = iat,
                                  .session_key = {},
                                  .custody = custody};
    if (of_session) claims.session_key = thumb;
    attest::EvidenceParts parts;
    parts.quote_attest = attest;
    parts.quote_signature = signature;
    parts.pcrs = pcrs;
    parts.issuer = &of_issuer;
    if (session_certified) parts.session_key = &of_session_key;
    parts.ak_public = ak_public;
    parts.ek_public = ek_public;
    parts.ek_chain = ek_chain;
    parts.event_log = as_bytes(event_log);
    parts.ima_log = as_bytes(ima_log);
    std::string text = attest::evidence_payload(claims, parts);
    for (const auto& [from, to] : replacements) {
      const auto at = text.find(from);
      if (at == text.npos) throw std::logic_error("nothing to replace: " + from);
      text.replace(at, from.size(), to);
    }
    return text;
  }

  std::string make() const {
    return sign_jws(issuer, attest::evidence_header(attest::thumbprint(issuer.public_key())),
                    payload());
  }

  attest::EvidenceExpectation expectation() const {
    return {.challenge = challenge,
            .audience = audience,
            .selection = attest::tpm::parse_selection("sha256:0,1,7").value(),
            .allow_sha1_bank = false,
            .now = kNow};
  }
  attest::Appraisal appraise(std::optional<attest::StateFile> state = {}) const {
    return attest::appraise(pinned(), make(), expectation(), std::move(state));
  }
};

}  // namespace badged::test
