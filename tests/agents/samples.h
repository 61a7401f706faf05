// Records as tests write them: the example of docs/protocol.md with lines changed.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/agents/record_set.h"

namespace badged::agents::tests {

// A user database of our own: "agent" 990 and "other" 991 without login, "alice" 1000 with one.
class SampleAccounts final : public Accounts {
 public:
  std::optional<uid_t> uid_of(const std::string& name) const override {
    for (const auto& [uid, account] : accounts_) {
      if (account.name == name) return uid;
    }
    return std::nullopt;
  }
  std::vector<Account> accounts_of(uid_t uid) const override {
    std::vector<Account> found;
    for (auto [at, end] = accounts_.equal_range(uid); at != end; ++at) found.push_back(at->second);
    return found;
  }
  void add(uid_t uid, std::string name, std::string shell) {
    accounts_.emplace(uid, Account{std::move(name), std::move(shell)});
  }

 private:
  std::multimap<uid_t, Account> accounts_{{990, {"agent", "/usr/sbin/nologin"}},
                                          {991, {"other", "/bin/false"}},
                                          {1000, {"alice", "/bin/bash"}}};
};

// A record's text from its parts, each replaceable. Line numbers of the default:
// 1 name ... 9 exposure, 10 binding; `top` from line 11; then [match], then the grants.
struct Sample {
  std::string name = "invoice-bot";
  std::string autonomy = "medium";
  std::string access = "app-write";
  std::string binding = "process";
  std::string top;  // more keys of the document
  std::string match = "unit = \"invoice-bot.service\"\nuid = \"agent\"\n";
  std::string grants =
      "[[grant]]\naudience = \"https://ledger.example.org/\"\n"
      "scope = [\"invoices.read\", \"invoices.write\"]\nmax_lifetime = \"10m\"\n"
      "urls = [\"https://ledger.example.org/api/\"]\n";

  std::string text() const {
    return "name = \"" + name +
           "\"\nowner = \"finance-platform@example.org\"\npurpose = \"reconciles invoices\"\n"
           "autonomy = \"" +
           autonomy + "\"\naccess = \"" + access +
           "\"\ndata_sensitivity = \"confidential\"\nbusiness_impact = \"moderate\"\n"
           "systems = [\"ledger\", \"mail\"]\nexposure = \"internal\"\nbinding = \"" +
           binding + "\"\n" + top + "[match]\n" + match + grants;
  }
  std::pair<std::string, std::string> file() const {
    return {"agents.d/" + name + ".toml", text()};
  }
};

inline LoadReport load(const std::vector<std::pair<std::string, std::string>>& files,
                       const TierRules& rules = {}) {
  return load_texts(files, rules, SampleAccounts{});
}

inline LoadReport load_file(std::string name, std::string text) {
  return load({{std::move(name), std::move(text)}});
}

inline LoadReport load(const Sample& sample) {
  return load({sample.file()});
}

// The errors' text, one after the other; empty: none.
inline std::string errors_of(const Diagnostics& problems) {
  std::string out;
  for (const auto& problem : problems) {
    if (problem.severity == Severity::error) out += to_text(problem);
  }
  return out;
}

inline std::string all_of(const Diagnostics& problems) {
  std::string out;
  for (const auto& problem : problems) out += to_text(problem);
  return out;
}

// The only error of a sample, or a failed check.
inline Diagnostic only_error(const Sample& sample) {
  const LoadReport report = load(sample);
  INFO(all_of(report.problems));
  std::vector<Diagnostic> errors;
  for (const auto& problem : report.problems) {
    if (problem.severity == Severity::error) errors.push_back(problem);
  }
  REQUIRE(errors.size() == 1);
  CHECK(report.good->records().empty());
  CHECK_FALSE(report.clean());
  return errors.front();
}

inline bool has_warning(const LoadReport& report, std::string_view words) {
  for (const auto& problem : report.problems) {
    if (problem.severity == Severity::warning && problem.message.find(words) != std::string::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace badged::agents::tests
