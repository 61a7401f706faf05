// The host's user database, as far as records need it. An interface because tests have users of
// their own.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace badged::agents {

struct Account {
  std::string name;
  std::string shell;  // empty means /bin/sh
};

class Accounts {
 public:
  virtual ~Accounts() = default;
  virtual std::optional<uid_t> uid_of(const std::string& name) const = 0;
  // All entries with this uid: several names can share one.
  virtual std::vector<Account> accounts_of(uid_t uid) const = 0;
};

// /etc/passwd and what else NSS knows. May block; called when records are loaded, never per
// request.
std::unique_ptr<Accounts> host_accounts();

// Somebody can log in: any shell but nologin and false. Deny by default: an unknown program counts.
bool is_login(const Account& account);

}  // namespace badged::agents
