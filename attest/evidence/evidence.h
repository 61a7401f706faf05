// Evidence, from a stranger's bytes to what a TPM has signed. The path is the type:
//
//   UnverifiedEvidence   records of opaque bytes; nothing is known about them
//     -> verify(AK)      the AK signed the quote, certified the issuer key; that signed the whole
//   VerifiedEvidence     everything in it is what that host said; compared with nothing yet
//     -> check_evidence  (appraise.h) it is what this relying party asked for
#pragma once

#include <optional>
#include <string>

#include "attest/evidence/records.h"
#include "attest/tpm/quote.h"

namespace badged::attest {

// What the issuer key signed beside the records.
struct VerifiedClaims {
  std::string profile, issuer, subject, audience;
  Bytes challenge;
  std::int64_t issued_at = 0;
  std::optional<std::int64_t> expires_at, not_before;  // RFC 7519 4.1; badged's has neither
  std::string jkt;      // cnf.jkt; empty: the evidence speaks for the TPM's issuer key
  std::string custody;  // of the key that it speaks for
};

class VerifiedEvidence {
 public:
  const tpm::VerifiedQuote& quote() const { return quote_; }
  const tpm::CertifiedKey& issuer_key() const { return issuer_; }
  const std::string& issuer_thumbprint() const { return issuer_thumbprint_; }
  // The session's key, where the TPM has it.
  const std::optional<tpm::CertifiedKey>& session_key() const { return session_; }
  const VerifiedClaims& claims() const { return claims_; }
  const tpm::PcrValues& pcrs() const { return pcrs_; }
  const Records& records() const { return records_; }

 private:
  friend class UnverifiedEvidence;
  VerifiedEvidence(tpm::VerifiedQuote quote, tpm::CertifiedKey issuer)
      : quote_(std::move(quote)), issuer_(std::move(issuer)) {}
  tpm::VerifiedQuote quote_;
  tpm::CertifiedKey issuer_;
  std::string issuer_thumbprint_;
  std::optional<tpm::CertifiedKey> session_;
  VerifiedClaims claims_;
  tpm::PcrValues pcrs_;
  Records records_;
};

// A view: the text given to parse() must outlive it.
class UnverifiedEvidence {
 public:
  // The form alone: a compact JWS of typ eat+jwt within kEvidenceBytes, whose `cmw` is a collection
  // with at least quote, PCR values and the issuer key's certification.
  static Checked<UnverifiedEvidence> parse(std::string_view compact);

  // In this order: the AK's signature over the quote, the AK's certification of the issuer key,
  // that key's signature over the whole, the AK's certification of the session's key where there is
  // one. Claims and PCR values are read after that. Consumes: after a failure nothing is left to
  // look at.
  Checked<VerifiedEvidence> verify(const tpm::AttestationKey& ak, Findings& findings) &&;

 private:
  UnverifiedEvidence(UnverifiedJws jws, Records records)
      : jws_(std::move(jws)), records_(std::move(records)) {}
  UnverifiedJws jws_;
  Records records_;
};

}  // namespace badged::attest
