// DPoP proofs (RFC 9449): the twelve checks of section 4.3, and the payload that an issuer of
// proofs signs.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "attest/jose/jws.h"
#include "attest/jose/replay.h"
#include "attest/reason.h"

namespace badged::attest {

// The request that a proof must be for. Views live through the call.
struct ProofExpectation {
  std::string_view method;  // as sent: "GET"
  std::string_view url;     // as requested; query and fragment ignored
  std::optional<std::string_view>
      access_token;                       // check 12: ath is its hash (absent at a token endpoint)
  std::optional<std::string_view> jkt;    // check 12: cnf.jkt of that token
  std::optional<std::string_view> nonce;  // check 10: the one that this server gave
  std::int64_t now = 0;
};

struct VerifiedProof {
  std::string jkt;  // thumbprint of the key that made it
  std::string jti;
  std::int64_t issued_at = 0;
  std::optional<std::string> nonce;  // what the proof carries, checked only if one was expected
};

// Check 1: there is not more than one DPoP header field.
Checked<std::string_view> single_proof(std::span<const std::string_view> header_fields);

// Checks 2 to 12, and exp and nbf where a proof has them (RFC 7519 4.1). The replay check comes
// last, so that a refused proof leaves no trace; without a guard the caller must say that replay
// was not checked.
Checked<VerifiedProof> verify_proof(std::string_view compact, const ProofExpectation& expect,
                                    ReplayGuard* replay);

// For makers of proofs: JSON of the claims, and of the header with the public key embedded. `url`
// is already normalised (url.h); `access_token` gives ath.
struct ProofClaims {
  std::string_view jti;
  std::string_view method;
  std::string_view url;
  std::string_view access_token;
  std::optional<std::string_view> nonce;
  std::int64_t issued_at = 0;
};
std::string proof_header(const PublicKey& key);
std::string proof_payload(const ProofClaims& claims);

}  // namespace badged::attest
