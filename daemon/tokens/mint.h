// The bytes of a token (RFC 9068) and of the answer that carries it (RFC 6749 5.1). Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "attest/jose/subject_token.h"
#include "daemon/policy/decision.h"
#include "daemon/tokens/session.h"

namespace badged::tokens {

// What names this host in its tokens. Constant while the daemon runs.
struct Host {
  std::string issuer;
  std::string trust_domain;
  std::string name;
};

// On whose behalf: RFC 8693 4.1. Only where the agent acts for somebody else.
struct Delegation {
  std::string subject;                // `sub`
  std::string issuer;                 // who knows the subject by that name
  std::vector<attest::Actor> actors;  // this agent first
  // Whom the subject's issuer named as the one who may act: it holds for whoever the token is
  // handed on to.
  std::optional<attest::MayAct> may_act{};
};

struct TokenClaims {
  const Host& host;
  const policy::Grant& grant;
  const Session& session;
  std::string_view jti;
  std::string_view txn;
  std::int64_t issued_at = 0;
  std::int64_t expires_at = 0;
  std::int64_t epoch = 0;
  std::uint32_t status_index = 0;  // in the list at `status_uri`
  std::string_view status_uri;
  std::optional<Digest> executable_sha256;
  const Delegation* delegation = nullptr;
};

// spiffe://TRUST-DOMAIN/host/HOST/agent/NAME
std::string subject(const Host& host, std::string_view agent);

// The claim `authorization_details`, in the bytes that are signed.
std::string details_json(const std::vector<policy::AuthorizationDetail>& details);

// The claims as JSON. `cnf` is there unless the grant is a Bearer grant.
std::string token_payload(const TokenClaims& claims);

// {"access_token":…,"token_type":…,"scope":…,"expires_in": — a number and '}' complete it.
// `members`: JSON members more, each after a comma.
std::string answer_head(std::string_view token, const policy::Grant& grant,
                        std::string_view members = {});

// What makes two requests of one session ask for the same token.
std::string cache_key(const policy::Grant& grant);

std::string joined(const std::vector<std::string>& scope);

}  // namespace badged::tokens
