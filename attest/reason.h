// Why a statement was not accepted, as a closed set that programs can act on.
//
// Checked<T> is Result<T> with a Reason: a Rejection is an Error and may be returned or copied as
// one. Names (to_string) are stable: badge-verifier prints them as "reason".
#pragma once

#include "keystore/result.h"

namespace badged::attest {

enum class Reason {
  malformed,       // not the structure it should be: parts, base64url, JSON, duplicate members
  too_large,       // beyond a bound of limits.h
  algorithm,       // alg is not the one pinned for the key, or is forbidden
  type,            // typ belongs to another use
  critical,        // crit: an extension we do not implement
  foreign_key,     // jku, x5u, x5c or jwk where keys are pinned
  unknown_key,     // kid names no key of the set
  signature,       // the signature does not verify
  missing_claim,   // a required claim is absent
  bad_claim,       // a claim has a wrong type, form or size
  issuer,          // iss is another
  audience,        // aud is another, or several
  expired,         // exp has passed
  not_yet_valid,   // iat or nbf lies in the future
  no_proof,        // a bound token came without a proof, or as Bearer
  several_proofs,  // more than one DPoP header field
  proof_key,       // the proof's jwk is no public P-256 key
  method,          // htm is another
  url,             // htu is another, or no URL that can be compared
  stale,           // the proof's iat is outside the window
  token_hash,      // ath is of another token
  nonce,           // nonce is absent or another
  binding,         // the proof's key is not the one that the token is bound to
  replayed,        // this proof was seen before
  replay_full,     // the replay cache is full of proofs that are still valid: refused
  replay_broken,   // the replay cache's file cannot be used
  revoked,         // the status list says that the token is not valid any more
  busy,            // another process has had the file locked for too long: try again
  no_status,       // the status list given says nothing about this token
  not_attested,    // a TPM statement that does not say what it should
  selection,       // the quote covers other PCRs or banks than asked, or none
  pcr_values,      // the PCR values are not the ones that were quoted
  went_back,       // the TPM's clock or counters are behind what was seen before, or another TPM's
  state_broken,    // the file that remembers them cannot be used
};

const char* to_string(Reason reason);  // "malformed", "too_large", ...

struct Rejection : Error {
  Reason reason = Reason::malformed;
};

template <class T>
using Checked = boost::system::result<T, Rejection>;

Rejection reject(Reason reason, std::string what, std::string hint = {});

// The same failure, seen from a check: keeps what and hint.
Rejection reject(Reason reason, Error error);

}  // namespace badged::attest
