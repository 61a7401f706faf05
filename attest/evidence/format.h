// Evidence about a host, as it travels: a compact JWS whose payload is an EAT (RFC 9711) with a
// collection of RFC 9999 records. docs/protocol.md, "Evidence", has the same for strangers.
//
// One record holds one structure, exactly as the TPM or the kernel gave it: whoever has base64url
// can hand each to tpm2-tools or OpenSSL as a file, without a framing of ours in between.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "attest/jose/jwk.h"
#include "attest/jose/jws.h"
#include "keystore/key.h"

namespace badged::attest {

// `eat_profile`: which version of this format it is. A verifier refuses every other.
// badged owns no domain; `.invalid` (RFC 6761) is nobody's.
constexpr std::string_view kEvidenceProfile = "tag:badged.invalid,2026:evidence#1";

// The claim's name (RFC 9999), and the Conceptual Message indicators used here.
constexpr std::string_view kCmwClaim = "cmw";
constexpr int kIndicatorEndorsement = 2;
constexpr int kIndicatorEvidence = 4;

// The records: label, media type, indicator. TPM structures are in wire format (big endian) without
// an outer size.
struct RecordKind {
  std::string_view label;
  std::string_view media_type;
  int indicator;
};
constexpr std::string_view kTpmsAttest = "application/vnd.badged.tpms-attest";
constexpr std::string_view kTpmtSignature = "application/vnd.badged.tpmt-signature";
constexpr std::string_view kTpmtPublic = "application/vnd.badged.tpmt-public";

constexpr RecordKind kQuoteAttest{"quote.attest", kTpmsAttest, kIndicatorEvidence};
constexpr RecordKind kQuoteSignature{"quote.signature", kTpmtSignature, kIndicatorEvidence};
// {"sha256":{"0":"hex","7":"hex"}}: every quoted PCR of every quoted bank, and no other.
constexpr RecordKind kPcrs{"pcrs", "application/json", kIndicatorEvidence};
// TPM2_Certify of the TPM's issuer key: always there.
constexpr RecordKind kIssuerPublic{"issuer.public", kTpmtPublic, kIndicatorEvidence};
constexpr RecordKind kIssuerAttest{"issuer.attest", kTpmsAttest, kIndicatorEvidence};
constexpr RecordKind kIssuerSignature{"issuer.signature", kTpmtSignature, kIndicatorEvidence};
// The same of the session's key, where that is in the TPM.
constexpr RecordKind kPopPublic{"pop.public", kTpmtPublic, kIndicatorEvidence};
constexpr RecordKind kPopAttest{"pop.attest", kTpmsAttest, kIndicatorEvidence};
constexpr RecordKind kPopSignature{"pop.signature", kTpmtSignature, kIndicatorEvidence};
// The attestation key and its parent, the endorsement key: what a verifier needs to recompute
// qualifiedSigner. Neither is taken for the key that was enrolled. Optional.
constexpr RecordKind kAkPublic{"ak.public", kTpmtPublic, kIndicatorEvidence};
constexpr RecordKind kEkPublic{"ek.public", kTpmtPublic, kIndicatorEvidence};
// The EK's certificate first, then its issuers. Optional.
constexpr RecordKind kEkChain{"ek.chain", "application/pem-certificate-chain",
                              kIndicatorEndorsement};
// As read from securityfs. Optional.
constexpr RecordKind kEventLog{"eventlog", "application/vnd.badged.tcg-eventlog",
                               kIndicatorEvidence};
constexpr RecordKind kImaLog{"imalog", "application/vnd.badged.ima-log", kIndicatorEvidence};

// What extraData of the quote holds, so that evidence is for one challenge, one key and one party:
// SHA-256("badged-evidence-v1\0" || u32be(len) || challenge || thumbprint || u32be(len) ||
// audience). `thumbprint` is the digest of RFC 7638 of the key that the evidence speaks for: the
// session's, or, of a host's own evidence, the TPM's issuer key.
Digest evidence_binding(ByteView challenge, const Digest& thumbprint, std::string_view audience);
Digest thumbprint_digest(const PublicKey& key);

// The claims beside the records.
struct EvidenceClaims {
  std::string_view issuer;     // `iss`, as in tokens
  std::string_view subject;    // `sub`: spiffe://TRUST-DOMAIN/host/HOST, or …/agent/NAME
  std::string_view audience;   // `aud`
  ByteView challenge;          // `eat_nonce`, as base64url
  std::int64_t issued_at = 0;  // `iat`
  // `cnf.jkt`: thumbprint of the session's key; absent from a host's own evidence.
  std::optional<std::string_view> session_key;
  std::string_view custody;  // `badged.custody`: where the key that is spoken for lives
};

// Views: what they show must outlive the call. Empty optional parts are left out.
struct EvidenceParts {
  ByteView quote_attest, quote_signature;
  std::string_view pcrs;  // JSON
  const keystore::Certification* issuer = nullptr;
  const keystore::Certification* session_key = nullptr;  // nullptr: not in the TPM
  ByteView ak_public, ek_public;
  std::string_view ek_chain;  // PEM
  ByteView event_log, ima_log;
  // `badged.omitted`: label and reason of what is not attached ("unreadable", "too-large").
  std::vector<std::pair<std::string_view, std::string_view>> omitted;
};

// For append_signing_input; signed ES256 by the TPM's issuer key.
std::string evidence_header(std::string_view issuer_thumbprint);
std::string evidence_payload(const EvidenceClaims& claims, const EvidenceParts& parts);

}  // namespace badged::attest
