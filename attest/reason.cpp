#include "attest/reason.h"

namespace badged::attest {

const char* to_string(Reason reason) {
  switch (reason) {
    case Reason::malformed:
      return "malformed";
    case Reason::too_large:
      return "too_large";
    case Reason::algorithm:
      return "algorithm";
    case Reason::type:
      return "type";
    case Reason::critical:
      return "critical";
    case Reason::foreign_key:
      return "foreign_key";
    case Reason::unknown_key:
      return "unknown_key";
    case Reason::signature:
      return "signature";
    case Reason::missing_claim:
      return "missing_claim";
    case Reason::bad_claim:
      return "bad_claim";
    case Reason::issuer:
      return "issuer";
    case Reason::audience:
      return "audience";
    case Reason::expired:
      return "expired";
    case Reason::not_yet_valid:
      return "not_yet_valid";
    case Reason::no_proof:
      return "no_proof";
    case Reason::several_proofs:
      return "several_proofs";
    case Reason::proof_key:
      return "proof_key";
    case Reason::method:
      return "method";
    case Reason::url:
      return "url";
    case Reason::stale:
      return "stale";
    case Reason::token_hash:
      return "token_hash";
    case Reason::nonce:
      return "nonce";
    case Reason::binding:
      return "binding";
    case Reason::replayed:
      return "replayed";
    case Reason::replay_full:
      return "replay_full";
    case Reason::replay_broken:
      return "replay_broken";
    case Reason::revoked:
      return "revoked";
    case Reason::busy:
      return "busy";
    case Reason::no_status:
      return "no_status";
    case Reason::not_attested:
      return "not_attested";
    case Reason::selection:
      return "selection";
    case Reason::pcr_values:
      return "pcr_values";
    case Reason::went_back:
      return "went_back";
    case Reason::state_broken:
      return "state_broken";
  }
  return "unknown";
}

static Errc code_of(Reason reason) {
  switch (reason) {
    case Reason::malformed:
    case Reason::too_large:
      return Errc::malformed;
    case Reason::replay_full:
      return Errc::exhausted;
    case Reason::replay_broken:
    case Reason::state_broken:
      return Errc::unavailable;
    case Reason::busy:
      return Errc::busy;
    default:
      return Errc::refused;
  }
}

Rejection reject(Reason reason, std::string what, std::string hint) {
  return Rejection{{code_of(reason), std::move(what), std::move(hint)}, reason};
}

Rejection reject(Reason reason, Error error) {
  return reject(reason, std::move(error.what), std::move(error.hint));
}

}  // namespace badged::attest
