#include "daemon/policy/exchange.h"

#include <algorithm>

#include "daemon/agents/diagnostic.h"

namespace badged::policy {
namespace {

using Words = std::vector<std::string>;

ExchangeDenial deny(Side by, DenialCode code, std::string description, std::string hint) {
  std::string reason = std::string(to_string(by)) + ": " + description;
  return {{code, std::move(description), std::move(reason), std::move(hint)}, by};
}

bool holds(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Those of `from` that `in` has, or has not.
Words those(const Words& from, const Words& in, bool had) {
  Words out;
  std::copy_if(from.begin(), from.end(), std::back_inserter(out),
               [&](const auto& word) { return holds(in, word) == had; });
  return out;
}

std::string listed(const Words& words) {
  constexpr std::size_t kListed = 8;
  std::string out;
  for (std::size_t i = 0; i < words.size() && i < kListed; ++i)
    out += (i == 0 ? "" : " ") + agents::printable(words[i]);
  return out + (words.size() > kListed ? " ..." : "");
}

// Who is behind a refusal of decide(), which knows of record and request alone.
Side side_of(const Denial& denial, const agents::Record& record, const Ask& ask) {
  const auto granted = [&](const std::string& audience) {
    return std::any_of(record.grants.begin(), record.grants.end(),
                       [&](const auto& grant) { return grant.audience == audience; });
  };
  switch (denial.code) {
    case DenialCode::temporarily_unavailable:
      return Side::host;
    case DenialCode::invalid_request:
      return Side::request;
    case DenialCode::invalid_scope:
      return ask.scope.empty() ? Side::request : Side::record;
    case DenialCode::invalid_target: {
      // Each is granted, and yet there is no one target: two were named, or none of several.
      const bool all = std::all_of(ask.audiences.begin(), ask.audiences.end(), granted);
      return all && ask.resources.empty() && !record.grants.empty() ? Side::request : Side::record;
    }
    default:
      return Side::record;
  }
}

std::optional<ExchangeDenial> narrow_scope(const Ask& ask, const SubjectBounds& subject,
                                           ExchangeGrant& out) {
  const Words record_scope = out.grant.scope;  // what record and request allow
  const auto missing = those(record_scope, subject.scope, false);
  if (ask.scope_given && !missing.empty())
    return deny(
        Side::subject, DenialCode::invalid_scope,
        "the subject token has not: scope " + listed(missing),
        subject.scope.empty() ? "it has no scope at all" : "it has: " + listed(subject.scope));
  out.grant.scope = those(record_scope, subject.scope, true);
  const auto dropped = those(subject.scope, record_scope, false);
  if (!dropped.empty())
    out.narrowed.push_back(
        {"scope", ask.scope_given ? Side::request : Side::record,
         (ask.scope_given ? "not asked for: " : "not in the record's grant: ") + listed(dropped)});
  if (!missing.empty())
    out.narrowed.push_back({"scope", Side::subject, "the subject has not: " + listed(missing)});
  return std::nullopt;
}

bool is_one_of(const std::vector<AuthorizationDetail>& details, const AuthorizationDetail& one) {
  return std::any_of(details.begin(), details.end(),
                     [&](const auto& detail) { return detail.json == one.json; });
}

std::optional<ExchangeDenial> narrow_details(bool asked, const SubjectBounds& subject,
                                             ExchangeGrant& out) {
  for (const auto& detail : out.grant.details) {
    if (is_one_of(subject.details, detail)) continue;
    return deny(Side::subject, DenialCode::invalid_authorization_details,
                "the subject token has no such detail of type " + agents::quoted(detail.type),
                "a detail can be left out, not changed: ask for one of the subject's, or for none");
  }
  for (const auto& detail : subject.details) {
    if (is_one_of(out.grant.details, detail)) continue;
    out.narrowed.push_back({"authorization_details", asked ? Side::request : Side::record,
                            "left out: one of type " + agents::quoted(detail.type)});
  }
  return std::nullopt;
}

std::optional<ExchangeDenial> narrow_audience(const Ask& ask, const SubjectBounds& subject,
                                              ExchangeGrant& out) {
  const auto& audience = out.grant.audience;
  if (subject.audience && *subject.audience != audience)
    return deny(Side::subject, DenialCode::invalid_target,
                "the subject token is not for " + agents::quoted(audience),
                "it is for " + agents::quoted(*subject.audience) + ", and stays so");
  if (!subject.audience)
    out.narrowed.push_back(
        {"audience", ask.audiences.empty() && ask.resources.empty() ? Side::record : Side::request,
         "for " + agents::printable(audience) + " alone"});
  return std::nullopt;
}

void narrow_lifetime(const ExchangeAsk& asked, const SubjectBounds& subject, ExchangeGrant& out) {
  auto& lifetime = out.grant.lifetime;
  const bool by_request =
      asked.lifetime &&
      (*asked.lifetime < lifetime || (*asked.lifetime == lifetime && lifetime < subject.lifetime));
  if (by_request) {
    lifetime = *asked.lifetime;
    out.narrowed.push_back(
        {"lifetime", Side::request, "asked for " + std::to_string(lifetime.count()) + " s"});
  }
  if (subject.lifetime < lifetime) {
    lifetime = subject.lifetime;
    out.narrowed.push_back({"lifetime", Side::subject,
                            "the subject has " + std::to_string(lifetime.count()) + " s left"});
  } else if (lifetime < subject.lifetime && !by_request) {
    out.narrowed.push_back(
        {"lifetime", Side::record,
         "the record and its tier allow " + std::to_string(lifetime.count()) + " s"});
  }
}

// The request with what it left out filled in from the subject.
Ask completed(const agents::Record& record, const Ask& asked, const SubjectBounds& subject) {
  Ask ask = asked;
  ask.token_type = TokenType::dpop;
  if (subject.audience && ask.audiences.empty() && ask.resources.empty())
    ask.audiences.push_back(*subject.audience);
  const auto* target = target_of(record, ask);
  if (!ask.details.empty() || target == nullptr) return ask;
  for (const auto& detail : subject.details)
    if (holds(target->authorization_details_types, detail.type)) ask.details.push_back(detail);
  return ask;
}

}  // namespace

std::string_view to_string(Side side) {
  switch (side) {
    case Side::subject:
      return "subject";
    case Side::record:
      return "record";
    case Side::request:
      return "request";
    case Side::host:
      return "host";
  }
  return "host";
}

ExchangeDecision decide_exchange(const agents::Record& record, const ExchangeAsk& asked,
                                 const Standing& standing, const agents::TierLimitTable& limits,
                                 const SubjectBounds& subject) {
  if (asked.ask.token_type == TokenType::bearer)
    return deny(Side::request, DenialCode::invalid_request, "an exchanged token is always bound",
                "leave token_type out, and send the token with a DPoP proof");
  const Ask ask = completed(record, asked.ask, subject);
  auto decision = decide(record, ask, standing, limits);
  if (auto* denial = std::get_if<Denial>(&decision)) {
    const Side by = side_of(*denial, record, ask);
    return ExchangeDenial{std::move(*denial), by};
  }
  ExchangeGrant out{std::get<Grant>(std::move(decision)), {}};
  if (auto denial = narrow_audience(asked.ask, subject, out)) return *std::move(denial);
  if (auto denial = narrow_scope(ask, subject, out)) return *std::move(denial);
  if (auto denial = narrow_details(!asked.ask.details.empty(), subject, out))
    return *std::move(denial);
  if (out.grant.scope.empty() && out.grant.details.empty()) {
    const bool nothing = subject.scope.empty() && subject.details.empty();
    return deny(nothing ? Side::subject : Side::record, DenialCode::invalid_scope,
                nothing ? "the subject token grants nothing"
                        : "the record grants nothing of what the subject token has",
                nothing ? "its issuer puts what it may do into `scope` or `authorization_details`"
                        : "it has: " + listed(subject.scope));
  }
  narrow_lifetime(asked, subject, out);
  return out;
}

}  // namespace badged::policy
