// The checks that every verifier of ours makes on an access token (RFC 9068, "The token" in
// docs/protocol.md).
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "attest/jose/jws.h"
#include "attest/reason.h"

namespace badged::attest {

// What a resource server pins: compared as strings, never resolved or fetched.
struct TokenExpectation {
  std::string_view issuer;
  std::string_view audience;
  std::int64_t now = 0;  // Unix time
};

// The claim of ours. Absent from tokens of other issuers.
struct BadgedClaims {
  std::string tier;     // baseline, elevated, high-assurance
  std::string binding;  // process, unit
  std::string session;
  std::int64_t epoch = 0;
  std::string executable_sha256;  // empty where not said
  std::string custody;            // host.custody; empty where not said
};

// Exists only for a token whose signature and claims passed.
class VerifiedToken {
 public:
  std::string issuer, subject, audience, client_id, jti, scope, txn;  // scope, txn may be empty
  std::int64_t issued_at = 0, expires_at = 0;
  std::string jkt;  // cnf.jkt: thumbprint of the key whose proof must come along; empty for Bearer
  std::optional<BadgedClaims> badged;
  boost::json::object claims;  // everything that was signed

  bool bound() const { return !jkt.empty(); }

 private:
  friend class TokenVerifier;
  VerifiedToken() = default;
};

// How a token arrived at a resource server (RFC 9449 7.1, 7.2).
enum class Presented { dpop, bearer };

// A bound token sent as Bearer, and an unbound one sent as DPoP, are refused.
Checked<void> check_presentation(const VerifiedToken& token, Presented how);

// Holds a ready verifier per key of the set, so that a token costs what OpenSSL's verify costs. Not
// thread-safe: one thread uses it at a time.
class TokenVerifier {
 public:
  static Result<TokenVerifier> create(const Jwks& keys);
  TokenVerifier(TokenVerifier&&) noexcept = default;
  TokenVerifier& operator=(TokenVerifier&&) noexcept = default;

  Checked<VerifiedToken> verify(std::string_view compact, const TokenExpectation& expect) const;

  // For the issuer itself, which is asked about tokens for every audience (RFC 7662, RFC 7009).
  // Never for a resource server: it would accept what was issued for another.
  Checked<VerifiedToken> verify_as_issuer(std::string_view compact, std::string_view issuer,
                                          std::int64_t now) const;

 private:
  TokenVerifier() = default;
  Checked<VerifiedToken> check(std::string_view compact, std::string_view issuer,
                               const std::string_view* audience, std::int64_t now) const;
  std::map<std::string, Es256Verifier, std::less<>> by_kid_;
};

}  // namespace badged::attest
