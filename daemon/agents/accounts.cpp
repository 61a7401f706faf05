#include "daemon/agents/accounts.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>

namespace badged::agents {
namespace {

// Bounds one entry; glibc's own suggestion is 1 KiB.
constexpr std::size_t kMaxEntryBytes = 64 * 1024;

template <class Lookup>
std::optional<std::pair<uid_t, Account>> look_up(Lookup lookup) {
  std::vector<char> buffer(1024);
  struct passwd entry {};
  struct passwd* found = nullptr;
  while (lookup(&entry, buffer.data(), buffer.size(), &found) == ERANGE) {
    if (buffer.size() >= kMaxEntryBytes) return std::nullopt;
    buffer.resize(buffer.size() * 4);
  }
  if (found == nullptr) return std::nullopt;
  return std::pair{found->pw_uid, Account{found->pw_name, found->pw_shell}};
}

class HostAccounts final : public Accounts {
 public:
  std::optional<uid_t> uid_of(const std::string& name) const override {
    const auto entry = look_up([&](auto... rest) { return getpwnam_r(name.c_str(), rest...); });
    if (!entry) return std::nullopt;
    return entry->first;
  }

  std::vector<Account> accounts_of(uid_t uid) const override {
    std::vector<Account> accounts;
    // getpwuid gives the first entry only; a second name of the same uid may be the one that logs
    // in.
    struct Close {
      void operator()(std::FILE* file) const { std::fclose(file); }
    };
    const std::unique_ptr<std::FILE, Close> file(std::fopen("/etc/passwd", "re"));
    while (file) {
      const auto entry = look_up([&](auto... rest) { return fgetpwent_r(file.get(), rest...); });
      if (!entry) break;
      if (entry->first == uid) accounts.push_back(entry->second);
    }
    const auto known = look_up([&](auto... rest) { return getpwuid_r(uid, rest...); });
    if (known && std::none_of(accounts.begin(), accounts.end(), [&](const Account& account) {
          return account.name == known->second.name;
        })) {
      accounts.push_back(known->second);
    }
    return accounts;
  }
};

}  // namespace

std::unique_ptr<Accounts> host_accounts() {
  return std::make_unique<HostAccounts>();
}

bool is_login(const Account& account) {
  const std::string_view shell = account.shell;
  return shell != "/usr/sbin/nologin" && shell != "/sbin/nologin" && shell != "/bin/false" &&
         shell != "/usr/bin/false";
}

}  // namespace badged::agents
