#include "attest/jose/subject_token.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "attest/jose/base64url.h"
#include "attest/json/strict.h"
#include "attest/json/text.h"
#include "attest/limits.h"

namespace badged::attest {

namespace json = boost::json;

namespace {

constexpr std::string_view kWhere = "the subject token's claims";

std::string about(std::string_view why) {
  return std::string("check the subject token: ").append(why);
}

Rejection claim_error(const json::object& claims, std::string_view name, const Error& error) {
  return reject(claims.contains(name) ? Reason::bad_claim : Reason::missing_claim,
                about(error.what));
}

Checked<std::string> text(const json::object& claims, std::string_view name, std::size_t max) {
  auto value = optional_string(claims, name, kWhere);
  if (!value) return claim_error(claims, name, value.error());
  if (value->has_value() && ((*value)->empty() || (*value)->size() > max))
    return reject(Reason::bad_claim, about("`").append(name).append("` is empty or too long"));
  return std::string(value->value_or(""));
}

Checked<std::string> required(const json::object& claims, std::string_view name, std::size_t max) {
  if (!claims.contains(name))
    return reject(Reason::missing_claim, about("it has no `").append(name).append("`"));
  return text(claims, name, max);
}

// RFC 7519 4.1.2: a StringOrURI. Spaces and controls would let one name pass for several where
// names are listed, or for another that is compared by its beginning; what cannot be seen or turns
// the writing round, for another where people read it.
Checked<std::string> party(const json::object& claims) {
  auto subject = required(claims, "sub", kPartyBytes);
  if (subject && (subject->find(' ') != std::string::npos || has_unseen(*subject)))
    return reject(Reason::bad_claim,
                  about("`sub` holds a space, a control or an invisible character"));
  return subject;
}

Checked<void> check_times(const json::object& claims, std::int64_t now, SubjectToken& token) {
  const auto expires = optional_time(claims, "exp", kWhere);
  if (!expires) return reject(Reason::bad_claim, about(expires.error().what));
  if (!*expires) return reject(Reason::missing_claim, about("it has no `exp`"));
  token.expires_at = **expires;
  if (token.expires_at <= now)
    return reject(Reason::expired, about("it has expired"), "get a new one from its issuer");
  for (const std::string_view name : {"nbf", "iat"}) {
    const auto from = optional_time(claims, name, kWhere);
    if (!from) return reject(Reason::bad_claim, about(from.error().what));
    if (*from && **from > now + kFutureLeeway)
      return reject(Reason::not_yet_valid, about("`").append(name).append("` is in the future"),
                    "compare the clocks of its issuer and this host");
  }
  return {};
}

// RFC 7519 4.1.3. A token for several is not for this issuer alone: who else has it may use it.
Checked<void> check_audience(const json::object& claims, std::string_view expected) {
  const auto* found = claims.if_contains("aud");
  if (found == nullptr) return reject(Reason::missing_claim, about("it has no `aud`"));
  const auto* list = found->if_array();
  if (list != nullptr && list->size() == 1) found = &list->front();
  const auto* only = found->if_string();
  if (only == nullptr)
    return reject(list != nullptr ? Reason::audience : Reason::bad_claim,
                  about("`aud` is not one string"), "a subject token is for this issuer alone");
  if (std::string_view(only->data(), only->size()) != expected)
    return reject(Reason::audience, about("it is for another audience"),
                  "its `aud` must be this issuer: " + std::string(expected));
  return {};
}

Checked<std::string> read_binding(const json::object& claims) {
  if (!claims.contains("cnf")) return std::string();
  const auto cnf = object_member(claims, "cnf", kWhere);
  if (!cnf) return claim_error(claims, "cnf", cnf.error());
  const auto jkt = string_member(**cnf, "jkt", "cnf");
  Digest digest;
  if (!jkt || (*cnf)->size() != 1 || !decode_base64url(*jkt, digest))
    return reject(Reason::bad_claim, about("`cnf` binds it in a way that is not known here"),
                  "a DPoP thumbprint (cnf.jkt) is, alone");
  return std::string(*jkt);
}

Checked<std::vector<Actor>> read_actors(const json::object& claims) {
  std::vector<Actor> actors;
  for (const json::object* level = &claims; level->contains("act");) {
    const auto act = object_member(*level, "act", kWhere);
    if (!act) return claim_error(*level, "act", act.error());
    if (actors.size() >= kMaxActors)
      return reject(Reason::too_large, about("its chain of actors is too long"),
                    "at most " + std::to_string(kMaxActors) + " act one for another");
    auto subject = party(**act);
    if (!subject) return subject.error();
    auto issuer = text(**act, "iss", kUrlBytes);
    if (!issuer) return issuer.error();
    actors.push_back({std::move(*subject), std::move(*issuer)});
    level = *act;
  }
  return actors;
}

Checked<std::optional<MayAct>> read_may_act(const json::object& claims) {
  if (!claims.contains("may_act")) return std::optional<MayAct>{};
  const auto object = object_member(claims, "may_act", kWhere);
  if (!object) return claim_error(claims, "may_act", object.error());
  MayAct out;
  for (const auto& member : **object) {
    const std::string_view name(member.key().data(), member.key().size());
    auto* into = name == "sub"         ? &out.subject
                 : name == "iss"       ? &out.issuer
                 : name == "client_id" ? &out.client_id
                                       : nullptr;
    if (into == nullptr)
      return reject(Reason::bad_claim, about("`may_act` asks for what is not known here"),
                    "sub, iss and client_id are");
    auto value = required(**object, name, kUrlBytes);
    if (!value) return value.error();
    *into = std::move(*value);
  }
  if (out.subject.empty() && out.client_id.empty())
    return reject(Reason::bad_claim, about("`may_act` names nobody"));
  return std::optional<MayAct>(std::move(out));
}

Rejection brings_key(std::string_view name) {
  return reject(Reason::foreign_key, about("it brings its own key: ").append(name),
                "keys come from the issuer's pinned key set alone");
}

}  // namespace

void append_act(std::string& out, std::span<const Actor> actors) {
  for (std::size_t i = 0; i < actors.size(); ++i) {
    out += i == 0 ? "{\"sub\":" : ",\"act\":{\"sub\":";
    append_json_string(out, actors[i].subject);
    if (actors[i].issuer.empty()) continue;
    out += ",\"iss\":";
    append_json_string(out, actors[i].issuer);
  }
  out.append(actors.size(), '}');
}

void append_may_act(std::string& out, const MayAct& may_act) {
  char before = '{';
  for (const auto& [name, value] :
       {std::pair("sub", &may_act.subject), std::pair("iss", &may_act.issuer),
        std::pair("client_id", &may_act.client_id)}) {
    if (value->empty()) continue;
    out.append(1, before).append(1, '"').append(name).append("\":");
    append_json_string(out, *value);
    before = ',';
  }
  out += '}';
}

Checked<SubjectToken> read_subject(const json::object& claims) {
  SubjectToken token;
  auto issuer = required(claims, "iss", kUrlBytes);
  if (!issuer) return issuer.error();
  auto subject = party(claims);
  if (!subject) return subject.error();
  auto jti = text(claims, "jti", kJtiMax);
  if (!jti) return jti.error();
  auto scope = text(claims, "scope", kScopeBytes);
  if (!scope) return scope.error();
  auto jkt = read_binding(claims);
  if (!jkt) return jkt.error();
  auto actors = read_actors(claims);
  if (!actors) return actors.error();
  auto may_act = read_may_act(claims);
  if (!may_act) return may_act.error();
  token.issuer = std::move(*issuer);
  token.subject = std::move(*subject);
  token.jti = std::move(*jti);
  token.scope = std::move(*scope);
  token.jkt = std::move(*jkt);
  token.actors = std::move(*actors);
  token.may_act = std::move(*may_act);
  if (const auto* details = claims.if_contains("authorization_details"))
    token.authorization_details = json::serialize(*details);
  return token;
}

Checked<UnverifiedSubject> UnverifiedSubject::parse(std::string_view compact) {
  if (compact.size() > kSubjectTokenBytes)
    return reject(Reason::too_large, about("it is too long"));
  const auto first = compact.find('.');
  const auto last = compact.rfind('.');
  if (first == last || compact.find('.', first + 1) != last)
    return reject(Reason::malformed, about("it is no signed JWT"),
                  "expected header.payload.signature; opaque and encrypted tokens are not known");
  const auto bytes = decode_base64url(compact.substr(0, first), kJwsHeaderBytes);
  if (!bytes) return reject(Reason::malformed, about(bytes.error().what));
  const auto header = parse_strict_object(as_text(*bytes));
  if (!header) return reject(Reason::malformed, about(header.error().what));
  if (header->contains("crit"))
    return reject(Reason::critical, about("it needs an extension (crit)"));
  for (const std::string_view name : {"jku", "x5u", "x5c", "jwk"})
    if (header->contains(name)) return brings_key(name);
  const auto alg = string_member(*header, "alg", "the header");
  const auto algorithm = alg ? subject_algorithm_from(*alg) : std::nullopt;
  if (!algorithm)
    return reject(Reason::algorithm, about("its alg is none that is accepted here"),
                  "ES256, RS256, PS256 and EdDSA are, each where it is pinned");
  auto kid = text(*header, "kid", kKidBytes);
  if (!kid || kid->empty())
    return reject(Reason::unknown_key, about("its header names no key (kid)"));
  auto typ = text(*header, "typ", 64);
  if (!typ) return reject(Reason::type, about("typ is not a short string"));
  std::transform(typ->begin(), typ->end(), typ->begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (typ->starts_with("application/")) typ->erase(0, std::string_view("application/").size());
  UnverifiedSubject out;
  out.kid_ = std::move(*kid);
  out.typ_ = std::move(*typ);
  out.algorithm_ = *algorithm;
  out.signing_input_ = compact.substr(0, last);
  out.payload_ = compact.substr(first + 1, last - first - 1);
  out.signature_ = compact.substr(last + 1);
  return out;
}

Checked<SubjectToken> UnverifiedSubject::verify(const TrustedKey& key,
                                                const SubjectExpectation& expect) const {
  if (key.algorithm() != algorithm_)
    return reject(Reason::algorithm, about("its alg is not the one that the key is pinned to"));
  const auto signature = decode_base64url(signature_, kRsaModulusMax);
  if (!signature) return reject(Reason::malformed, about("the signature is no base64url"));
  if (!key.verify(as_bytes(signing_input_), *signature))
    return reject(Reason::signature, about("the signature does not verify"));
  const auto payload = decode_base64url(payload_, kSubjectTokenBytes);
  if (!payload) return reject(Reason::malformed, about(payload.error().what));
  const auto claims = parse_strict_object(as_text(*payload));
  if (!claims) return reject(Reason::malformed, about(claims.error().what));
  auto token = read_subject(*claims);
  if (!token) return token.error();
  if (token->issuer != expect.issuer)
    return reject(Reason::issuer, about("it is from another issuer than its key"));
  if (auto audience = check_audience(*claims, expect.audience); !audience) return audience.error();
  if (auto times = check_times(*claims, expect.now, *token); !times) return times.error();
  return token;
}

}  // namespace badged::attest
