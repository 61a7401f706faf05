#include "attest/jose/access_token.h"

#include "attest/jose/base64url.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

constexpr std::string_view kWhere = "the token's claims";

std::string about(std::string_view why) {
  return std::string("check the token: ").append(why);
}

Rejection claim_error(const json::object& claims, std::string_view name, const Error& error) {
  const Reason reason = claims.contains(name) ? Reason::bad_claim : Reason::missing_claim;
  return reject(reason, about(error.what));
}

// RFC 9068 2.2: present, a string, and not empty.
Checked<std::string> required(const json::object& claims, std::string_view name) {
  auto value = string_member(claims, name, kWhere);
  if (!value) return claim_error(claims, name, value.error());
  if (value->empty())
    return reject(Reason::bad_claim, about("`").append(name).append("` is empty"));
  return std::string(*value);
}

Checked<std::int64_t> required_time(const json::object& claims, std::string_view name) {
  auto value = integer_member(claims, name, kWhere);
  if (!value) return claim_error(claims, name, value.error());
  if (*value < 0 || *value > kLatestTime)
    return reject(Reason::bad_claim, about("`").append(name).append("` is no time of ours"));
  return *value;
}

Checked<std::string> optional_text(const json::object& claims, std::string_view name) {
  auto value = optional_string(claims, name, kWhere);
  if (!value) return claim_error(claims, name, value.error());
  return std::string(value->value_or(""));
}

Checked<void> check_times(const json::object& claims, VerifiedToken& token, std::int64_t now) {
  auto issued = required_time(claims, "iat");
  if (!issued) return issued.error();
  auto expires = required_time(claims, "exp");
  if (!expires) return expires.error();
  token.issued_at = *issued;
  token.expires_at = *expires;
  if (token.expires_at <= now)
    return reject(Reason::expired, about("it has expired"), "ask for a new token");
  if (token.issued_at > now + kFutureLeeway)
    return reject(Reason::not_yet_valid, about("it was issued in the future"),
                  "compare the clocks of issuer and verifier");
  if (!claims.contains("nbf")) return {};
  auto not_before = required_time(claims, "nbf");
  if (!not_before) return not_before.error();
  if (*not_before > now + kFutureLeeway)
    return reject(Reason::not_yet_valid, about("it is not valid yet"));
  return {};
}

// RFC 7800, RFC 9449 6.1. A way of confirmation that we cannot check must not be overlooked.
Checked<std::string> read_binding(const json::object& claims) {
  if (!claims.contains("cnf")) return std::string();
  auto cnf = object_member(claims, "cnf", kWhere);
  if (!cnf) return claim_error(claims, "cnf", cnf.error());
  if ((*cnf)->size() != 1 || !(*cnf)->contains("jkt"))
    return reject(Reason::bad_claim, about("`cnf` binds it in a way that is not known here"));
  auto jkt = string_member(**cnf, "jkt", "cnf");
  Digest digest;
  if (!jkt || !decode_base64url(*jkt, digest))
    return reject(Reason::bad_claim, about("`cnf.jkt` is not a SHA-256 thumbprint"));
  return std::string(*jkt);
}

Result<BadgedClaims> badged_claims(const json::object& from) {
  constexpr std::string_view kOurs = "the claim `badged`";
  auto tier = string_member(from, "tier", kOurs);
  if (!tier) return tier.error();
  auto binding = string_member(from, "binding", kOurs);
  if (!binding) return binding.error();
  auto session = string_member(from, "session", kOurs);
  if (!session) return session.error();
  auto epoch = optional_integer(from, "epoch", kOurs);
  if (!epoch) return epoch.error();
  auto executable = optional_string(from, "executable_sha256", kOurs);
  if (!executable) return executable.error();
  BadgedClaims out{std::string(*tier),
                   std::string(*binding),
                   std::string(*session),
                   epoch->value_or(0),
                   std::string(executable->value_or("")),
                   {}};
  if (!from.contains("host")) return out;
  auto host = object_member(from, "host", kOurs);
  if (!host) return host.error();
  auto custody = optional_string(**host, "custody", "badged.host");
  if (!custody) return custody.error();
  out.custody = custody->value_or("");
  return out;
}

Checked<std::optional<BadgedClaims>> read_badged(const json::object& claims) {
  if (!claims.contains("badged")) return std::optional<BadgedClaims>{};
  auto object = object_member(claims, "badged", kWhere);
  if (!object) return claim_error(claims, "badged", object.error());
  auto ours = badged_claims(**object);
  if (!ours) return reject(Reason::bad_claim, about(ours.error().what));
  return std::optional<BadgedClaims>(std::move(*ours));
}

struct TextClaim {
  std::string_view name;
  std::string VerifiedToken::*member;
};
constexpr TextClaim kRequired[] = {{"iss", &VerifiedToken::issuer},
                                   {"sub", &VerifiedToken::subject},
                                   {"aud", &VerifiedToken::audience},
                                   {"client_id", &VerifiedToken::client_id},
                                   {"jti", &VerifiedToken::jti}};
constexpr TextClaim kOptional[] = {{"scope", &VerifiedToken::scope}, {"txn", &VerifiedToken::txn}};

Checked<void> read_texts(const json::object& claims, VerifiedToken& token) {
  for (const auto& [name, member] : kRequired) {
    auto value = required(claims, name);
    if (!value) return value.error();
    token.*member = std::move(*value);
  }
  for (const auto& [name, member] : kOptional) {
    auto value = optional_text(claims, name);
    if (!value) return value.error();
    token.*member = std::move(*value);
  }
  return {};
}

Checked<void> check_parties(const json::object& claims, const VerifiedToken& token,
                            std::string_view issuer, const std::string_view* audience) {
  if (token.issuer != issuer) return reject(Reason::issuer, about("it is from another issuer"));
  if (audience != nullptr && token.audience != *audience)
    return reject(Reason::audience, about("it is for another audience"),
                  "ask for a token with this audience");
  // RFC 9068 leaves room for extensions; an empty permission is always a fault of its maker.
  if (claims.contains("scope") && token.scope.empty())
    return reject(Reason::bad_claim, about("`scope` is empty"));
  return {};
}

}  // namespace

Checked<void> check_presentation(const VerifiedToken& token, Presented how) {
  if (token.bound() && how == Presented::bearer)
    return reject(Reason::no_proof, about("it is bound to a key and came as Bearer"),
                  "send it as `Authorization: DPoP`, with a proof");
  if (!token.bound() && how == Presented::dpop)
    return reject(Reason::binding, about("it is bound to no key and came as DPoP"));
  return {};
}

Result<TokenVerifier> TokenVerifier::create(const Jwks& keys) {
  TokenVerifier verifier;
  for (const auto& entry : keys.keys()) {
    auto ready = Es256Verifier::create(entry.key);
    if (!ready) return ready.error();
    verifier.by_kid_.emplace(entry.kid, std::move(*ready));
  }
  return verifier;
}

Checked<VerifiedToken> TokenVerifier::verify(std::string_view compact,
                                             const TokenExpectation& expect) const {
  return check(compact, expect.issuer, &expect.audience, expect.now);
}

Checked<VerifiedToken> TokenVerifier::verify_as_issuer(std::string_view compact,
                                                       std::string_view issuer,
                                                       std::int64_t now) const {
  return check(compact, issuer, nullptr, now);
}

Checked<VerifiedToken> TokenVerifier::check(std::string_view compact, std::string_view issuer,
                                            const std::string_view* audience,
                                            std::int64_t now) const {
  auto unverified = UnverifiedJws::parse(compact, kAccessTokenUse);
  if (!unverified) return unverified.error();
  const auto key = by_kid_.find(unverified->header().kid);
  if (key == by_kid_.end())
    return reject(Reason::unknown_key, about("its kid names no key of the set"),
                  "fetch the issuer's key set again: keys rotate");
  auto verified = std::move(*unverified).verify(key->second);
  if (!verified) return verified.error();
  VerifiedToken token;
  token.claims = std::move(*verified).claims();
  if (auto texts = read_texts(token.claims, token); !texts) return texts.error();
  if (auto parties = check_parties(token.claims, token, issuer, audience); !parties)
    return parties.error();
  if (auto times = check_times(token.claims, token, now); !times) return times.error();
  auto jkt = read_binding(token.claims);
  if (!jkt) return jkt.error();
  token.jkt = std::move(*jkt);
  auto ours = read_badged(token.claims);
  if (!ours) return ours.error();
  token.badged = std::move(*ours);
  return token;
}

}  // namespace badged::attest
