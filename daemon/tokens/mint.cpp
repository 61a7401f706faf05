#include "daemon/tokens/mint.h"

#include "attest/json/strict.h"
#include "daemon/audit/line.h"

namespace badged::tokens {
namespace {

using attest::append_json_string;

void member(std::string& out, std::string_view name, std::string_view value) {
  if (out.back() != '{') out += ',';
  out += '"';
  out += name;
  out += "\":";
  append_json_string(out, value);
}

void member(std::string& out, std::string_view name, std::int64_t value) {
  if (out.back() != '{') out += ',';
  out += '"';
  out += name;
  out += "\":";
  out += std::to_string(value);
}

// draft-ietf-oauth-status-list 6.1.
void append_status(std::string& out, const TokenClaims& claims) {
  out += R"(,"status":{"status_list":{)";
  member(out, "idx", std::int64_t{claims.status_index});
  member(out, "uri", claims.status_uri);
  out += "}}";
}

// The claim of ours: what the token rests on (docs/protocol.md).
void append_badged(std::string& out, const TokenClaims& claims) {
  out += ",\"badged\":{";
  member(out, "tier", agents::to_string(claims.grant.tier));
  member(out, "binding", agents::to_string(claims.grant.binding));
  member(out, "session", claims.session.id());
  member(out, "epoch", claims.epoch);
  // `sub` is a name that this issuer gave: two may call different people alike.
  if (claims.delegation != nullptr) member(out, "subject_issuer", claims.delegation->issuer);
  if (claims.executable_sha256)
    member(out, "executable_sha256", audit::to_hex(*claims.executable_sha256));
  out += ",\"host\":{";
  // No appraisal of this host has taken place: said, not left out.
  member(out, "attestation", "none");
  member(out, "custody", keystore::to_string(claims.session.custody()));
  out += "}}";
}

}  // namespace

std::string joined(const std::vector<std::string>& scope) {
  std::string out;
  for (const auto& token : scope) {
    if (!out.empty()) out += ' ';
    out += token;
  }
  return out;
}

std::string details_json(const std::vector<policy::AuthorizationDetail>& details) {
  std::string out = "[";
  for (const auto& detail : details) {
    if (out.size() > 1) out += ',';
    out += detail.json;
  }
  return out += ']';
}

std::string subject(const Host& host, std::string_view agent) {
  std::string out = "spiffe://";
  out += host.trust_domain;
  out += "/host/";
  out += host.name;
  out += "/agent/";
  out += agent;
  return out;
}

std::string token_payload(const TokenClaims& claims) {
  std::string out;
  out.reserve(1024);
  out = "{";
  member(out, "iss", claims.host.issuer);
  member(out, "sub",
         claims.delegation != nullptr ? claims.delegation->subject
                                      : subject(claims.host, claims.session.agent()));
  member(out, "aud", claims.grant.audience);
  member(out, "client_id", claims.session.agent());
  member(out, "iat", claims.issued_at);
  member(out, "exp", claims.expires_at);
  member(out, "jti", claims.jti);
  member(out, "txn", claims.txn);
  if (!claims.grant.scope.empty()) member(out, "scope", joined(claims.grant.scope));
  if (!claims.grant.details.empty()) {
    out += ",\"authorization_details\":";
    out += details_json(claims.grant.details);
  }
  if (claims.grant.token_type == policy::TokenType::dpop) {
    out += ",\"cnf\":{";
    member(out, "jkt", claims.session.jkt());
    out += '}';
  }
  append_status(out, claims);
  if (claims.delegation != nullptr) {
    out += ",\"act\":";
    attest::append_act(out, claims.delegation->actors);
    if (claims.delegation->may_act) {
      out += ",\"may_act\":";
      attest::append_may_act(out, *claims.delegation->may_act);
    }
  }
  append_badged(out, claims);
  out += '}';
  return out;
}

std::string answer_head(std::string_view token, const policy::Grant& grant,
                        std::string_view members) {
  std::string out;
  out.reserve(token.size() + members.size() + 256);
  out = "{";
  member(out, "access_token", token);
  member(out, "token_type", policy::to_string(grant.token_type));
  if (!grant.scope.empty()) member(out, "scope", joined(grant.scope));
  if (!grant.details.empty()) {
    out += ",\"authorization_details\":";
    out += details_json(grant.details);
  }
  out += members;
  out += ",\"expires_in\":";
  return out;
}

std::string cache_key(const policy::Grant& grant) {
  // Unambiguous: none of the parts can hold a newline.
  std::string out = grant.audience;
  out += '\n';
  out += joined(grant.scope);
  for (const auto& detail : grant.details) {
    out += '\n';
    out += detail.json;
  }
  out += '\n';
  out += std::to_string(grant.lifetime.count());
  out += policy::to_string(grant.token_type);
  return out;
}

}  // namespace badged::tokens
