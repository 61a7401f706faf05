#include "daemon/calls/authority.h"
#include "daemon/policy/scope.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>

namespace badged::calls {
namespace {

struct Sum {
  std::set<std::string, std::less<>> scope;
  std::int64_t until = 0;
  std::int64_t tokens = 0;
};

void add_scope(std::string_view text, Sum& sum) {
  for (auto& word : policy::split_scope(text)) sum.scope.insert(std::move(word));
}

std::string joined(const Sum& sum) {
  std::string out;
  for (const auto& scope : sum.scope) out += (out.empty() ? "" : " ") + scope;
  return out;
}

}  // namespace

boost::json::object authority_now(const Service& service, std::string_view agent) {
  std::map<std::string, Sum> by_audience;
  Sum all;
  service.revocations.ledger().each(unix_now(), [&](const tokens::Ledger::Token& token) {
    if (token.revoked || token.authority->agent != agent) return;
    auto& sum = by_audience[token.authority->audience];
    add_scope(token.authority->scope, sum);
    for (auto* of : {&sum, &all}) {
      of->until = std::max(of->until, token.expires_at);
      ++of->tokens;
    }
  });
  std::int64_t sessions = 0;
  service.sessions.each(
      [&](const tokens::Session& session) { sessions += session.agent() == agent ? 1 : 0; });
  boost::json::object out{{"sessions", sessions}, {"tokens", all.tokens}};
  if (all.tokens > 0) out["until"] = all.until;
  boost::json::array authority;
  for (const auto& [audience, sum] : by_audience)
    authority.push_back({{"audience", audience},
                         {"scope", joined(sum)},
                         {"until", sum.until},
                         {"tokens", sum.tokens}});
  out["authority"] = std::move(authority);
  return out;
}

}  // namespace badged::calls
