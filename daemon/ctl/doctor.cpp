#include "daemon/ctl/doctor.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daemon/agents/accounts.h"
#include "daemon/agents/record_set.h"
#include "daemon/audit/verify.h"
#include "daemon/ctl/verbs.h"

namespace badged::ctl {
namespace {

const char* word(Check::Verdict verdict) {
  switch (verdict) {
    case Check::Verdict::ok:
      return "ok";
    case Check::Verdict::warn:
      return "warn";
    case Check::Verdict::bad:
      return "bad";
  }
  return "bad";
}

std::string directory_of(const std::string& path) {
  std::size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

std::string octal(unsigned mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode & 07777);
  return text;
}

// What the running badged says of itself on the admin socket.
Checks from_status(const boost::json::object& status) {
  Checks checks;
  if (const auto* store = object_at(status, "keystore")) {
    std::string condition = text_at(*store, "condition");
    const std::string message = text_at(*store, "message");
    const std::string detail =
        text_at(*store, "kind") + " " + condition + (message.empty() ? "" : ": " + message);
    bool fine = condition == "ready" || condition == "ok";
    checks.push_back(fine ? good("keystore", detail)
                          : bad("keystore", detail, text_at(*store, "hint")));
  }
  const auto* agents = object_at(status, "agents");
  const auto* problems = agents ? array_at(*agents, "problems") : nullptr;
  if (problems && !problems->empty())
    checks.push_back(
        bad("served-records",
            std::to_string(problems->size()) + " problems in the records that badged read",
            "badgectl status names them; badgectl reload after mending"));
  if (const auto* warnings = array_at(status, "warnings"))
    for (const auto& each : *warnings)
      checks.push_back(warn("badged", plain(each), "badgectl status"));
  return checks;
}

boost::json::object as_json(const Checks& checks, bool fine) {
  boost::json::array list;
  for (const Check& check : checks)
    list.push_back({{"name", check.name},
                    {"verdict", word(check.verdict)},
                    {"detail", printable(check.detail)},
                    {"hint", printable(check.hint)}});
  return {{"ok", fine}, {"checks", list}};
}

std::string as_text(const Checks& checks) {
  std::string text;
  for (const Check& check : checks) {
    std::string head = word(check.verdict);
    head.resize(6, ' ');
    head += check.name;
    head.resize(std::max<std::size_t>(head.size() + 1, 22), ' ');
    text += head + printable(check.detail) + '\n';
    if (!check.hint.empty()) text += "      -> " + printable(check.hint) + '\n';
  }
  return text;
}

}  // namespace

Check good(std::string name, std::string detail) {
  return {std::move(name), Check::Verdict::ok, std::move(detail), {}};
}
Check warn(std::string name, std::string detail, std::string hint) {
  return {std::move(name), Check::Verdict::warn, std::move(detail), std::move(hint)};
}
Check bad(std::string name, std::string detail, std::string hint) {
  return {std::move(name), Check::Verdict::bad, std::move(detail), std::move(hint)};
}

Check hidden(std::string name, const std::string& path) {
  return warn(std::move(name), path + " is not for this user to see",
              "run badgectl doctor as root for a full answer");
}

Checks check_config(const Options& options, std::optional<config::Config>& config) {
  if (::access(options.config.c_str(), R_OK) != 0 && errno == EACCES)
    return {hidden("config", options.config)};
  config::LoadedConfig loaded = config::load_config(options.config);
  Checks checks;
  for (const auto& problem : loaded.problems) {
    std::string detail = agents::where(problem) + ": " + problem.message;
    bool error = problem.severity == agents::Severity::error;
    checks.push_back(error ? bad("config", detail, problem.hint)
                           : warn("config", detail, problem.hint));
  }
  if (loaded.config) checks.push_back(good("config", options.config + " can be used"));
  config = std::move(loaded.config);
  return checks;
}

Check check_records(const config::Config& config) {
  if (::access(config.agents_dir.c_str(), R_OK | X_OK) != 0)
    return errno == EACCES ? hidden("records", config.agents_dir)
                           : warn("records", config.agents_dir + ": " + std::strerror(errno),
                                  "badged makes it at its first start");
  auto accounts = agents::host_accounts();
  agents::LoadReport report = agents::load_directory(config.agents_dir, config.tiers, *accounts);
  std::string detail = std::to_string(report.good->records().size()) + " usable records in " +
                       std::to_string(report.files) + " files of " + config.agents_dir;
  if (!report.clean())
    return bad("records", detail,
               "badgectl agents validate " + config.agents_dir + " names what is wrong");
  if (report.files == 0)
    return warn("records", detail, "badgectl agents new --unit U prints the start of a record");
  return good("records", detail);
}

Check check_audit_log(const std::string& state_dir) {
  const auto path = state_dir + "/audit.jsonl";
  if (::access(path.c_str(), R_OK) != 0)
    return errno == EACCES ? hidden("audit-log", path)
                           : warn("audit-log", path + ": " + std::strerror(errno),
                                  "badged makes it at its first start");
  const auto checked = audit::verify_file(path);
  if (!checked) return bad("audit-log", checked.error().what, checked.error().hint);
  const auto lines = path + ": " + std::to_string(checked->lines) + " good lines, " +
                     std::to_string(checked->checkpoints) + " signed heads";
  if (!checked->intact)
    return bad("audit-log", lines + ", then " + checked->problem,
               "compare it with your last copy from before: badgectl audit verify COPY");
  return good("audit-log", lines);
}

Check check_socket(const std::string& name, const std::string& path, unsigned allowed_mode) {
  struct stat info {
  }, directory{};
  std::string above = directory_of(path);
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == EACCES) return hidden(name, path);
    return bad(name, path + ": " + std::strerror(errno),
               "start badged: systemctl start badged.socket");
  }
  if (!S_ISSOCK(info.st_mode))
    return bad(name, path + " is no socket",
               "remove it: badged refuses to start over a foreign file");
  if ((info.st_mode & 0777 & ~allowed_mode) != 0)
    return bad(name,
               path + " has mode " + octal(info.st_mode) + ", at most " + octal(allowed_mode) +
                   " is right",
               "restart its socket unit");
  bool sealed = ::stat(above.c_str(), &directory) == 0 &&
                ((directory.st_mode & 0022) == 0 || (directory.st_mode & S_ISVTX) != 0);
  if (!sealed)
    return bad(name, above + " can be written by others, who could replace the socket",
               "chmod go-w " + above);
  return good(name, path);
}

Checks check_daemon(const Options& options) {
  auto client = agent_client(options);
  if (client.has_error()) return {bad("daemon", client.error().description, client.error().hint)};
  auto metadata =
      call(client.value(), {"GET", "/.well-known/oauth-authorization-server", {}, {}, false});
  if (metadata.has_error())
    return {bad("daemon", metadata.error().description, metadata.error().hint)};
  Checks checks{good("daemon", "answers as " + text_at(metadata.value(), "issuer"))};
  auto admin = admin_client(options);
  if (admin.has_error()) {
    checks.push_back(warn("status", admin.error().description, admin.error().hint));
    return checks;
  }
  auto status = call(admin.value(), {"GET", "/v1/status", {}, {}, false});
  if (status.has_error()) {
    checks.push_back(warn("status", status.error().description, status.error().hint));
    return checks;
  }
  for (Check& check : from_status(status.value())) checks.push_back(std::move(check));
  return checks;
}

Outcome doctor(const Options& given) {
  Options options = given;
  std::optional<config::Config> config;
  Checks checks = check_config(options, config);
  if (config) {
    if (options.socket == default_socket) options.socket = config->agent_socket;
    if (options.admin_socket == default_admin_socket) options.admin_socket = config->admin_socket;
    checks.push_back(check_tpm(config->keystore));
    checks.push_back(check_records(*config));
    checks.push_back(check_disk(config->state_dir));
    checks.push_back(check_audit_log(config->state_dir));
  }
  checks.push_back(check_clock(config ? config->state_dir : "/var/lib/badged"));
  checks.push_back(check_admin_group());
  checks.push_back(check_socket("agent-socket", options.socket, 0666));
  checks.push_back(check_socket("admin-socket", options.admin_socket, 0660));
  for (Check& check : check_daemon(options)) checks.push_back(std::move(check));
  for (Check& check : check_unit()) checks.push_back(std::move(check));

  bool fine = true;
  for (const Check& check : checks) fine = fine && check.verdict != Check::Verdict::bad;
  if (fine) return Answer{as_json(checks, fine), as_text(checks)};
  return verdict_no(as_json(checks, fine), as_text(checks), "unhealthy",
                    "something is bad: see `checks`", "each check that is bad has a hint");
}

}  // namespace badged::ctl
