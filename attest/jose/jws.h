// Compact JWS (RFC 7515 3.1) with ES256 (RFC 7518 3.4), and nothing else.
//
// The types carry what has been checked: an UnverifiedJws gives its header, and only what is needed
// to choose a key; the payload is parsed after the signature holds, and lives in a VerifiedJws.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "attest/jose/jwk.h"
#include "attest/json/strict.h"
#include "attest/reason.h"
#include "keystore/bytes.h"

namespace badged::attest {

// One P-256 key, ready to verify again and again at the bare cost of OpenSSL. Move-only. Not
// thread-safe: one thread uses a verifier at a time.
class Es256Verifier {
 public:
  static Result<Es256Verifier> create(const PublicKey& key);  // refuses a point off the curve
  Es256Verifier(Es256Verifier&&) noexcept;
  Es256Verifier& operator=(Es256Verifier&&) noexcept;
  ~Es256Verifier();

  const PublicKey& key() const;
  bool verify(ByteView message, const Signature& signature) const;
  bool verify_digest(const Digest& digest, const Signature& signature) const;

 private:
  struct State;
  explicit Es256Verifier(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What a JWS is used as: each use has its own typ, so that none passes for another (RFC 8725 3.11).
struct JwsUse {
  std::string_view name;      // for errors: "token", "proof"
  std::string_view typ;       // exact, lower case; also accepted as "application/…"
  bool embedded_key = false;  // `jwk` is required (DPoP); refused otherwise
  JsonLimits payload{};
  std::size_t bytes = kJwsBytes;  // of the whole compact form
};
constexpr JwsUse kAccessTokenUse{"token", "at+jwt"};
constexpr JwsUse kProofUse{"proof", "dpop+jwt", true};
constexpr JwsUse kVouchUse{"vouch", "badged-vouch+jwt"};
constexpr JwsUse kEvidenceUse{.name = "evidence",
                              .typ = "eat+jwt",
                              .payload = {.bytes = kEvidenceBytes, .members = kEvidenceMembers},
                              .bytes = kEvidenceBytes};

struct JwsHeader {
  std::string kid;                    // empty where absent
  std::optional<PublicKey> embedded;  // of kProofUse: public, on the curve
};

class VerifiedJws {
 public:
  const JwsHeader& header() const { return header_; }
  const boost::json::object& claims() const& { return claims_; }
  boost::json::object claims() && { return std::move(claims_); }

 private:
  friend class UnverifiedJws;
  VerifiedJws(JwsHeader header, boost::json::object claims)
      : header_(std::move(header)), claims_(std::move(claims)) {}
  JwsHeader header_;
  boost::json::object claims_;
};

// A view: the text given to parse() must outlive it.
class UnverifiedJws {
 public:
  // Refused: not three parts, beyond the bounds, non-canonical base64url, a signature that has not
  // 64 bytes, alg other than ES256, typ of another use, crit, jku, x5u, x5c, jwk outside DPoP.
  static Checked<UnverifiedJws> parse(std::string_view compact, const JwsUse& use);

  const JwsHeader& header() const { return header_; }

  // The payload before anything vouches for it. Evidence alone has to be read so: the key that
  // signs it lies inside, in a statement that the pinned attestation key has signed. Parsed once;
  // verify() then hands on the same object.
  Checked<const boost::json::object*> unverified_claims();

  // Consumes: after a failure there is nothing left to look at.
  Checked<VerifiedJws> verify(const Es256Verifier& key) &&;
  // The same with a key that is used for this alone: no Es256Verifier, which costs a third of a
  // signature to create. Nothing verifies with a point off the curve. Each thread that calls it
  // keeps one public key of OpenSSL's until it ends.
  Checked<VerifiedJws> verify_once(const PublicKey& key) &&;

 private:
  UnverifiedJws() = default;
  Checked<VerifiedJws> accept(bool signature_holds) &&;
  JwsUse use_;
  JwsHeader header_;
  std::string_view signing_input_;
  std::string_view payload_;
  Signature signature_{};
  std::optional<boost::json::object> claims_;  // once unverified_claims() has parsed them
};

// For issuers: append_signing_input, sign SHA-256 of the appended bytes, append_signature. `header`
// and `payload` are JSON texts. The parts go to the end of `out`, without a copy in between.
void append_signing_input(std::string& out, std::string_view header, std::string_view payload);
void append_signature(std::string& out, const Signature& signature);

// The part that does not change for a key may be encoded once: base64url of the header, and a dot.
std::string encoded_header(std::string_view header);

}  // namespace badged::attest
