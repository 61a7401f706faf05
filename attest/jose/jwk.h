// P-256 public keys as JWK (RFC 7517, RFC 7518 6.2), their thumbprints, and the issuer's key set.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "keystore/key.h"
#include "keystore/result.h"

namespace badged::attest {

using keystore::PublicKey;

bool on_curve(const PublicKey& key);

// RFC 7638: base64url of SHA-256 over the required members in order; 43 characters. Is `kid`,
// `jkt`.
std::string thumbprint(const PublicKey& key);

// {"crv":"P-256","kty":"EC","x":"…","y":"…"}: the canonical form of RFC 7638, and the shortest.
void append_jwk(std::string& out, const PublicKey& key);

// Refused: another kty or crv, coordinates that are not exactly 32 bytes or not on the curve, any
// private member of any key type (d, p, q, dp, dq, qi, oth, k), an `alg` or `use` of another kind.
Result<PublicKey> public_key_from_jwk(const boost::json::object& jwk);

// RFC 7518 6.2.2, 6.3.2 and 6.4: of any key type; none of these may ever be shown.
bool has_private_member(const boost::json::object& jwk);
// RFC 7517 4.2 and 4.3: `use` and `key_ops`, where they stand, allow to verify signatures.
bool is_for_verifying(const boost::json::object& jwk);

// Who vouches for an issuing key (docs/protocol.md): nobody; the TPM's attestation key, as
// {"public":…,"attest":…,"signature":…} in base64url; or the TPM's issuer key, as a compact JWS.
using Vouch = std::variant<std::monostate, keystore::Certification, std::string>;

struct JwksKey {
  std::string kid;
  PublicKey key;
  std::string custody;  // badged_custody: "tpm", "locked-memory", "software"; empty where not said
  Vouch vouch;          // badged_vouch; nothing here has been checked (see vouch.h)
};

// An issuer's keys. Every key is pinned to ES256 and signatures; a key of another kind (RSA,
// another curve or alg, use "enc") is left out, since it can never verify anything here.
class Jwks {
 public:
  // Refused: not an object with `keys`, private members anywhere, a P-256 key without or with a
  // doubled kid, off the curve, badged_ members of a wrong form, more than kJwksKeys.
  static Result<Jwks> parse(std::string_view text);
  explicit Jwks(std::vector<JwksKey> keys) : keys_(std::move(keys)) {}

  const JwksKey* find(std::string_view kid) const;  // kid is opaque: compared, never interpreted
  const std::vector<JwksKey>& keys() const { return keys_; }

  // The document that parse() reads: {"keys":[{…,"kid","use":"sig","alg":"ES256","badged_…"}]}.
  std::string to_json() const;

 private:
  std::vector<JwksKey> keys_;
};

}  // namespace badged::attest
