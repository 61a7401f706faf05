// The statement by which the TPM's issuer key names an issuing key in locked memory (member
// `badged_vouch` of the JWKS). It proves what badged said, not where the key lives.
#pragma once

#include <string>
#include <string_view>

#include "attest/jose/jws.h"

namespace badged::attest {

struct VouchClaims {
  std::string_view key_thumbprint;  // of the key that is named
  std::string_view custody;         // "locked-memory"
  std::int64_t issued_at = 0;
  std::int64_t expires_at = 0;  // the named key signs nothing that outlives this
};
std::string vouch_header(std::string_view issuer_thumbprint);  // alg, kid, typ
std::string vouch_payload(const VouchClaims& claims);

struct VerifiedVouch {
  std::string custody;
  std::int64_t expires_at = 0;
};
// `issuer` is the TPM's issuer key, itself certified by the AK.
Checked<VerifiedVouch> verify_vouch(std::string_view compact, const Es256Verifier& issuer,
                                    std::string_view key_thumbprint, std::int64_t now);

}  // namespace badged::attest
