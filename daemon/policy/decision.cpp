#include "daemon/policy/decision.h"

#include <algorithm>
#include <utility>

#include "daemon/agents/audience.h"
#include "daemon/agents/diagnostic.h"
#include "daemon/agents/grant_url.h"

namespace badged::policy {
namespace {

using agents::quoted;
using agents::quoted_target;

Denial deny(DenialCode code, std::string description, std::string reason, std::string hint = {}) {
  return {code, std::move(description), std::move(reason), std::move(hint)};
}

template <class Range, class Value>
bool holds(const Range& range, const Value& value) {
  return std::find(range.begin(), range.end(), value) != range.end();
}

// The record's own audiences: what a caller that has this record may know.
std::string audiences_of(const agents::Record& record) {
  constexpr std::size_t kListed = 8;
  std::string out;
  for (std::size_t i = 0; i < record.grants.size() && i < kListed; ++i) {
    out += (i == 0 ? "" : ", ") + quoted(record.grants[i].audience);
  }
  return out + (record.grants.size() > kListed ? ", ..." : "");
}

Denial no_target(const agents::Record& record, std::string description) {
  std::string reason = "no such target in the record: " + description;
  return deny(DenialCode::invalid_target, std::move(description), std::move(reason),
              record.grants.empty() ? "the record grants nothing: add a [[grant]]"
                                    : "granted: " + audiences_of(record));
}

using Target = std::variant<const agents::Grant*, Denial>;

// The grant that one `audience` or `resource` names, or null.
const agents::Grant* grant_of_audience(const agents::Record& record, const std::string& audience) {
  const auto found = std::find_if(record.grants.begin(), record.grants.end(),
                                  [&](const auto& grant) { return grant.audience == audience; });
  return found == record.grants.end() ? nullptr : &*found;
}

const agents::Grant* grant_of_resource(const agents::Record& record, const std::string& resource) {
  if (const auto* grant = grant_of_audience(record, resource)) return grant;
  const agents::Grant* under = nullptr;
  for (const auto& grant : record.grants) {
    if (!agents::lies_under(grant.urls, resource)) continue;
    if (under != nullptr) return nullptr;  // in two grants: which one was meant is a guess
    under = &grant;
  }
  return under;
}

Target pick_target(const agents::Record& record, const Ask& ask) {
  if (ask.audiences.empty() && ask.resources.empty()) {
    if (record.grants.size() == 1) return &record.grants.front();
    return no_target(record, record.grants.empty() ? "nothing is granted to this agent"
                                                   : "several targets are granted: name one");
  }
  const agents::Grant* picked = nullptr;
  auto agree = [&](const agents::Grant* grant) {
    const bool same = picked == nullptr || picked == grant;
    picked = grant;
    return same;
  };
  const std::string two = "audience and resource name different targets: a token has one";
  for (const auto& audience : ask.audiences) {
    const auto* grant = grant_of_audience(record, audience);
    if (grant == nullptr)
      return no_target(record, "not granted: audience " + quoted_target(audience));
    if (!agree(grant)) return no_target(record, two);
  }
  for (const auto& resource : ask.resources) {
    const auto* grant = grant_of_resource(record, resource);
    if (grant == nullptr)
      return no_target(record, "not granted: resource " + quoted_target(resource));
    if (!agree(grant)) return no_target(record, two);
  }
  return picked;
}

std::optional<Denial> narrow_scope(const agents::Grant& from, const Ask& ask, Grant& to) {
  if (!ask.scope_given) {
    to.scope = from.scope;
    to.steps.push_back({"scope", "none asked", "all of the grant's"});
    return std::nullopt;
  }
  if (ask.scope.empty()) {
    return deny(DenialCode::invalid_scope, "an empty scope", "asked for an empty scope",
                "leave `scope` out for all that is granted");
  }
  for (const auto& scope : ask.scope) {
    if (holds(from.scope, scope)) continue;
    std::string granted;
    for (const auto& word : from.scope) granted += (granted.empty() ? "" : " ") + word;
    return deny(
        DenialCode::invalid_scope, "not granted: scope " + quoted(scope),
        "scope " + quoted(scope) + " is beyond the record's grant for " + quoted(from.audience),
        granted.empty() ? "this target has no scopes: leave `scope` out"
                        : "granted here: " + granted);
  }
  to.scope = ask.scope;
  std::sort(to.scope.begin(), to.scope.end());
  to.scope.erase(std::unique(to.scope.begin(), to.scope.end()), to.scope.end());
  to.steps.push_back({"scope", "asked, and within the grant", std::to_string(to.scope.size())});
  return std::nullopt;
}

std::optional<Denial> narrow_details(const agents::Grant& from, const Ask& ask, Grant& to) {
  const auto& allowed = from.authorization_details_types;
  for (const auto& detail : ask.details) {
    if (holds(allowed, detail.type)) continue;
    return deny(DenialCode::invalid_authorization_details,
                "not granted: authorization_details of type " + quoted(detail.type),
                "authorization_details type " + quoted(detail.type) +
                    " is not in the record's grant for " + quoted(from.audience),
                allowed.empty() ? "this target takes none" : "see the grant's types in the record");
  }
  if (to.scope.empty() && ask.details.empty() && !allowed.empty()) {
    return deny(DenialCode::invalid_authorization_details, "authorization_details are required",
                "the grant for " + quoted(from.audience) +
                    " has authorization_details_types and no scope, and none were asked",
                "say in `authorization_details` what the token is for");
  }
  to.details = ask.details;
  return std::nullopt;
}

std::optional<Denial> pick_token_type(const agents::Grant& from, const Ask& ask,
                                      const agents::TierLimits& limits, Grant& to) {
  const bool bearer = from.bearer && limits.bearer && to.tier == agents::Tier::baseline;
  if (ask.token_type == TokenType::bearer && !bearer) {
    return deny(DenialCode::invalid_request, "Bearer tokens are not granted here",
                "asked for a Bearer token where the record or the tier allows none",
                "leave token_type out, and send the token with a DPoP proof");
  }
  to.token_type = bearer ? ask.token_type.value_or(TokenType::bearer) : TokenType::dpop;
  to.steps.push_back({"token_type", bearer ? "the grant allows Bearer" : "bound tokens only",
                      std::string(to_string(to.token_type))});
  return std::nullopt;
}

std::optional<Denial> pick_custody(const Standing& standing, const agents::TierLimits& limits,
                                   Grant& to) {
  using keystore::Condition;
  using keystore::Custody;
  const bool software = standing.store_custody == Custody::software;
  if (software && !standing.software_accepted) {
    return deny(DenialCode::temporarily_unavailable, "no usable key store",
                "the key store is software and nobody accepted that",
                "use the TPM, or set i_accept_software_keys = true for development");
  }
  if (standing.store_condition == Condition::replaced) {
    return deny(DenialCode::temporarily_unavailable, "this host must be enrolled again",
                "the TPM is not the one that was provisioned: " + standing.store_message,
                standing.store_hint);
  }
  const bool needs_tpm = limits.custody == agents::KeyCustody::tpm;
  if (needs_tpm && software) {
    return deny(DenialCode::unauthorized_client, "this agent's keys must be in a TPM",
                "tier " + std::string(to_string(to.tier)) +
                    " needs keys in the TPM and the store is software",
                "use a host with a TPM (a simulated one for development)");
  }
  if (needs_tpm && standing.store_condition != Condition::ready) {
    return deny(DenialCode::temporarily_unavailable, "the TPM cannot be used now",
                "the TPM is " + std::string(keystore::to_string(standing.store_condition)) + ": " +
                    standing.store_message,
                standing.store_hint);
  }
  to.custody = software ? Custody::software : needs_tpm ? Custody::tpm : Custody::locked_memory;
  to.steps.push_back({"custody", "keys of tier " + std::string(to_string(to.tier)),
                      keystore::to_string(to.custody)});
  return std::nullopt;
}

std::optional<Denial> check_standing(const agents::Record& record, const Standing& standing,
                                     const agents::TierLimits& limits) {
  if (!standing.clock_trustworthy) {
    return deny(DenialCode::temporarily_unavailable, "this host's clock stepped back",
                "issuance pauses: the clock stepped back beyond tolerance",
                "set the clock right (chronyc tracking)");
  }
  // Loading has checked it; a record that reaches here otherwise gets nothing.
  if (record.binding == agents::Binding::unit && !limits.unit_binding) {
    return deny(DenialCode::unauthorized_client, "this agent's binding is not allowed",
                "binding = \"unit\" in tier " + std::string(to_string(record.tier())),
                "use binding = \"process\"");
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(TokenType type) {
  return type == TokenType::bearer ? "Bearer" : "DPoP";
}

std::string_view to_string(DenialCode code) {
  switch (code) {
    case DenialCode::invalid_request:
      return "invalid_request";
    case DenialCode::invalid_target:
      return "invalid_target";
    case DenialCode::invalid_scope:
      return "invalid_scope";
    case DenialCode::invalid_authorization_details:
      return "invalid_authorization_details";
    case DenialCode::unauthorized_client:
      return "unauthorized_client";
    case DenialCode::temporarily_unavailable:
      return "temporarily_unavailable";
  }
  return "unauthorized_client";
}

const agents::Grant* target_of(const agents::Record& record, const Ask& ask) {
  const Target target = pick_target(record, ask);
  const auto* grant = std::get_if<const agents::Grant*>(&target);
  return grant == nullptr ? nullptr : *grant;
}

Decision decide(const agents::Record& record, const Ask& ask, const Standing& standing,
                const agents::TierLimitTable& table) {
  const agents::TierLimits& limits = table.of(record.tier());
  if (auto denial = check_standing(record, standing, limits)) return *std::move(denial);

  Target target = pick_target(record, ask);
  if (auto* denial = std::get_if<Denial>(&target)) return std::move(*denial);
  const agents::Grant& from = *std::get<const agents::Grant*>(target);

  Grant grant;
  grant.audience = from.audience;
  grant.urls = from.urls;
  grant.tier = record.tier();
  grant.binding = record.binding;
  grant.steps = record.derived.steps;
  if (auto denial = narrow_scope(from, ask, grant)) return *std::move(denial);
  if (auto denial = narrow_details(from, ask, grant)) return *std::move(denial);
  if (auto denial = pick_token_type(from, ask, limits, grant)) return *std::move(denial);
  if (auto denial = pick_custody(standing, limits, grant)) return *std::move(denial);
  grant.lifetime = agents::token_lifetime(from, grant.tier, limits, grant.steps);
  return grant;
}

}  // namespace badged::policy
