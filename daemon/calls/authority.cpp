#include "daemon/calls/authority.h"
#include "daemon/policy/scope.h"
#include "daemon/tokens/mint.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>

namespace badged::calls {
namespace {

using Words = std::set<std::string, std::less<>>;

struct Sum {
  Words scope, details;
  std::int64_t until = 0;
  std::int64_t tokens = 0;
};

void add_words(std::string_view text, Words& words) {
  for (auto& word : policy::split_scope(text)) words.insert(std::move(word));
}

std::string joined(const Words& words) {
  return tokens::joined({words.begin(), words.end()});
}

}  // namespace

boost::json::object authority_now(const Service& service, std::string_view agent) {
  std::map<std::string, Sum> by_audience;
  Sum all;
  service.revocations.ledger().each(unix_now(), [&](const tokens::Ledger::Token& token) {
    if (token.revoked || token.authority->agent != agent) return;
    auto& sum = by_audience[token.authority->audience];
    add_words(token.authority->scope, sum.scope);
    add_words(token.authority->details, sum.details);
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
  for (const auto& [audience, sum] : by_audience) {
    boost::json::object of{{"audience", audience},
                           {"scope", joined(sum.scope)},
                           {"until", sum.until},
                           {"tokens", sum.tokens}};
    if (!sum.details.empty()) of["authorization_details_types"] = joined(sum.details);
    authority.push_back(std::move(of));
  }
  out["authority"] = std::move(authority);
  return out;
}

}  // namespace badged::calls
