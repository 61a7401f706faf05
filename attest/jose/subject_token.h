// Tokens on whose behalf an agent wants to act (RFC 8693 2.1): another issuer's JWTs, checked
// before a byte of their payload is parsed; and what any such token says, ours included.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attest/jose/trusted_keys.h"
#include "attest/reason.h"

namespace badged::attest {

// One who acts or acted: RFC 8693 4.1, what is kept of it.
struct Actor {
  std::string subject;
  std::string issuer;  // empty where not said
};

// What must hold of the bearer-to-be: RFC 8693 4.4. Absent members are not asked for.
struct MayAct {
  std::string subject, issuer, client_id;
};

struct SubjectToken {
  std::string issuer, subject, jti, scope;  // jti and scope may be empty
  std::int64_t expires_at = 0;
  std::string jkt;            // cnf.jkt; empty: bound to no key
  std::vector<Actor> actors;  // the latest first, as `act` nests them
  std::optional<MayAct> may_act;
  std::string authorization_details;  // JSON text of the claim; empty where absent
};

// `act` nested in order: {"sub":…,"act":{…}}. Nothing for no actors.
void append_act(std::string& out, std::span<const Actor> actors);
// The claim `may_act`, as it is read.
void append_may_act(std::string& out, const MayAct& may_act);

// The claims that matter here, of an object whose signature has been verified. Refused: wrong
// types, an `act` without `sub` or deeper than kMaxActors, a `sub` with a space in it or what
// has_unseen() finds (text.h), a cnf that is not jkt, a may_act with members that are not known
// here (they would be overlooked).
Checked<SubjectToken> read_subject(const boost::json::object& claims);

struct SubjectExpectation {
  std::string_view issuer;
  std::string_view audience;  // this issuer; the only one of the token
  std::int64_t now = 0;
};

// A view of a compact JWS: its header alone has been read.
class UnverifiedSubject {
 public:
  // Refused: too long, not three parts, crit, jku, x5u, x5c, jwk, no kid, an alg that nothing here
  // is pinned to (none, HS256 and the like).
  static Checked<UnverifiedSubject> parse(std::string_view compact);

  const std::string& kid() const { return kid_; }
  const std::string& typ() const { return typ_; }  // lower case, without "application/"; or empty

  // The key's algorithm is compared with the header's before the signature is looked at; then iss,
  // aud, exp, nbf and iat.
  Checked<SubjectToken> verify(const TrustedKey& key, const SubjectExpectation& expect) const;

 private:
  UnverifiedSubject() = default;
  std::string kid_, typ_;
  SubjectAlgorithm algorithm_ = SubjectAlgorithm::es256;
  std::string_view signing_input_, payload_, signature_;
};

}  // namespace badged::attest
