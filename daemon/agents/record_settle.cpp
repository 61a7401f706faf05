// What only this host knows about a record, and what its tier demands of it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include "daemon/agents/guarded_file.h"
#include "daemon/agents/record.h"

namespace badged::agents {
namespace {

std::string reason_of(int error) {
  return std::generic_category().message(error);
}

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

void settle_uid(Match& match, const Accounts& accounts, Reporter& report) {
  if (match.uid || match.uid_text.empty()) return;
  match.uid = accounts.uid_of(match.uid_text);
  if (!match.uid) {
    report.error(match.uid_at, "no user named " + quoted(match.uid_text) + " on this host",
                 "make the user first, or write its number (a number needs no passwd entry)");
  }
}

// Fills in path and id, or reports. Opening never blocks on a fifo or a device.
void settle_executable(Match& match, Reporter& report) {
  if (match.executable.empty()) return;
  const std::unique_ptr<char, decltype(&std::free)> real(
      ::realpath(match.executable.c_str(), nullptr), &std::free);
  if (!real) {
    report.error(match.executable_at,
                 "resolve 'executable' " + quoted(match.executable) + ": " + reason_of(errno),
                 "install the program first; /proc/PID/exe of the running agent shows its path");
    return;
  }
  match.executable = real.get();
  // O_PATH first: to look at what it is without opening a device or waiting for a fifo's writer.
  const File path(::open(match.executable.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  struct stat facts {};
  if (path.get() < 0 || ::fstat(path.get(), &facts) != 0) {
    report.error(match.executable_at,
                 "look at 'executable' " + quoted(match.executable) + ": " + reason_of(errno));
    return;
  }
  if (!S_ISREG(facts.st_mode)) {
    report.error(match.executable_at,
                 "'executable' is no regular file: " + quoted(match.executable),
                 "name the program itself");
    return;
  }
  match.executable_id = file_id(facts);
  const File content(
      ::open(match.executable.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  char start[2] = {};
  // A script that we may not read slips through here and then matches nobody: /proc/PID/exe never
  // names a script.
  if (content.get() >= 0 && ::pread(content.get(), start, sizeof start, 0) == 2 &&
      start[0] == '#' && start[1] == '!') {
    report.error(match.executable_at, "'executable' is a script: " + quoted(match.executable),
                 "name the interpreter that its first line names (the kernel runs that one), and "
                 "tell agents apart by unit or uid");
  }
}

void check_shared_uid(const Record& record, const Accounts& accounts, Reporter& report) {
  if (!record.match.unit.empty() || !record.match.uid) return;
  for (const auto& account : accounts.accounts_of(*record.match.uid)) {
    if (!is_login(account)) continue;
    report.error(record.match.uid_at,
                 "an agent above baseline hangs on the uid of a login user: " +
                     quoted(account.name) + " (shell " + quoted(account.shell) + ")",
                 "give it a uid of its own (shell /usr/sbin/nologin, or a number without a passwd "
                 "entry), or match its unit");
    return;
  }
}

void check_grant(const Grant& grant, const Record& record, const TierLimits& limits,
                 Reporter& report) {
  const std::string tier(to_string(record.tier()));
  if (grant.bearer && !limits.bearer) {
    report.error(grant.bearer_at, "bearer = true in tier " + tier,
                 "only baseline agents may hold tokens without proof of possession; take it out");
  }
  if (grant.max_lifetime && *grant.max_lifetime > limits.max_lifetime) {
    report.warn(grant.max_lifetime_at, "max_lifetime is above the limit of tier " + tier +
                                           ": tokens live " +
                                           std::to_string(limits.max_lifetime.count()) + "s");
  }
}

void check_tier(const Record& record, const TierRules& rules, const Accounts& accounts,
                Reporter& report) {
  const TierLimits& limits = rules.limits.of(record.tier());
  if (record.binding == Binding::unit && !limits.unit_binding) {
    report.error(record.binding_at,
                 "binding = \"unit\" in tier " + std::string(to_string(record.tier())),
                 "use binding = \"process\": a helper of the unit could use its tokens");
  }
  if (record.tier() != Tier::baseline) check_shared_uid(record, accounts, report);
  for (const auto& grant : record.grants) check_grant(grant, record, limits, report);
}

}  // namespace

void settle_record(Record& record, const TierRules& rules, const Accounts& accounts,
                   Diagnostics& problems) {
  Reporter report(record.file, problems);
  settle_uid(record.match, accounts, report);
  settle_executable(record.match, report);
  record.derived =
      derive_tier(rules.map, record.autonomy, record.access, record.vendor.has_value());
  check_tier(record, rules, accounts, report);
}

std::chrono::seconds token_lifetime(const Grant& grant, Tier tier, const TierLimits& limits,
                                    Derivation& steps) {
  auto lifetime = grant.max_lifetime.value_or(limits.default_lifetime);
  steps.push_back({"lifetime",
                   grant.max_lifetime ? "the grant's max_lifetime"
                                      : "the default of tier " + std::string(to_string(tier)),
                   std::to_string(lifetime.count()) + "s"});
  if (lifetime > limits.max_lifetime) {
    lifetime = limits.max_lifetime;
    steps.push_back({"lifetime", "the limit of tier " + std::string(to_string(tier)),
                     std::to_string(lifetime.count()) + "s"});
  }
  return lifetime;
}

}  // namespace badged::agents
