// The verbs that need no badged: records and audit files are checked by the code that badged itself
// runs.
#include <filesystem>
#include <iostream>

#include "daemon/agents/accounts.h"
#include "daemon/agents/report.h"
#include "daemon/audit/verify.h"
#include "daemon/config/config.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/verbs.h"

namespace badged::ctl {
namespace {

Attempt<boost::json::object> object_of(const std::string& text) {
  boost::system::error_code ec;
  boost::json::value value = boost::json::parse(text, ec);
  if (ec || !value.is_object())
    return Failure{Exit::unreachable, "internal", "make the report's JSON", "", {}};
  return std::move(value.get_object());
}

std::string text_of(const agents::Diagnostics& problems) {
  std::string text;
  for (const auto& problem : problems) text += to_text(problem);
  return text;
}

Failure config_failure(const std::string& file, const agents::Diagnostics& problems) {
  return Failure{Exit::malformed,
                 "malformed_config",
                 "read " + file + "\n" + text_of(problems),
                 "badged --check --config " + file + " says the same; --config names another file",
                 {}};
}

// The tiers of the host's configuration where there is one, else the defaults; a broken one is an
// error even for a check of records, because their tiers would not be those that will be served.
Attempt<agents::TierRules> tier_rules(const Options& options) {
  std::error_code ec;
  if (!options.config_given && !std::filesystem::exists(options.config, ec) && !ec)
    return agents::TierRules{};
  config::LoadedConfig loaded = config::load_config(options.config);
  if (!loaded.config) return config_failure(options.config, loaded.problems);
  return loaded.config->tiers;
}

// Where the live audit file is: the daemon says so, else the configuration does.
Attempt<std::string> live_audit_file(const Options& options) {
  if (!options.config_given) {
    Attempt<Client> client = admin_client(options);
    if (client.has_value()) {
      auto answer = call(client.value(), {"GET", "/v1/status", {}, {}, false});
      const auto* audit = answer.has_value() ? object_at(answer.value(), "audit") : nullptr;
      if (audit && !text_at(*audit, "path").empty()) return text_at(*audit, "path");
    }
  }
  config::LoadedConfig loaded = config::load_config(options.config);
  if (loaded.config) return loaded.config->state_dir + "/audit.jsonl";
  return Failure{Exit::unreachable,
                 "unreachable",
                 "find the audit file: badged does not say where it is, and its configuration "
                 "cannot be read\n" +
                     text_of(loaded.problems),
                 "name the file: badgectl audit verify FILE",
                 {}};
}

}  // namespace

Outcome agents_validate(const Options& options) {
  std::error_code ec;
  if (!std::filesystem::is_directory(options.directory, ec))
    return Failure{Exit::malformed,
                   "unreadable",
                   "read the directory " + options.directory + ": " +
                       (ec ? ec.message() : "it is no directory"),
                   "name the directory that holds the records, one NAME.toml per agent",
                   {}};
  auto rules = tier_rules(options);
  if (rules.has_error()) return rules.error();
  auto accounts = agents::host_accounts();
  agents::LoadReport report = agents::load_directory(options.directory, rules.value(), *accounts);
  auto json = object_of(agents::validation_json(report, options.directory));
  if (json.has_error()) return json.error();
  std::string text = agents::validation_text(report, options.directory);
  if (report.clean()) return Answer{std::move(json.value()), std::move(text)};
  return verdict_no(std::move(json.value()), std::move(text), "invalid_records",
                    std::to_string(report.problems.size()) + " problems in " + options.directory,
                    "`problems` names each with its file, line and remedy");
}

Outcome agents_new(const Options& options) {
  Result<std::string> record = agents::new_record(options.unit);
  if (record.has_error()) return to_failure(record.error());
  return Answer{{{"unit", options.unit}, {"record", record.value()}}, record.value()};
}

Outcome offline_matrix(const Options& options) {
  config::LoadedConfig loaded = config::load_config(options.config);
  if (!loaded.config) return config_failure(options.config, loaded.problems);
  auto accounts = agents::host_accounts();
  agents::LoadReport report =
      agents::load_directory(loaded.config->agents_dir, loaded.config->tiers, *accounts);
  auto json = object_of(agents::matrix_json(*report.good, loaded.config->tiers.map));
  if (json.has_error()) return json.error();
  std::string text = agents::matrix_text(*report.good, loaded.config->tiers.map);
  if (!report.clean()) {
    text += "\nrecords that are left out:\n" + text_of(report.problems);
    json.value()["incomplete"] = true;
  }
  return Answer{std::move(json.value()), text};
}

Outcome audit_verify(const Options& options) {
  std::string path = options.file;
  if (path.empty()) {
    auto found = live_audit_file(options);
    if (found.has_error()) return found.error();
    path = found.value();
  }
  Result<audit::Verdict> checked = path == "-" ? audit::verify_stream(std::cin, options.jwks_file)
                                               : audit::verify_file(path, options.jwks_file);
  if (checked.has_error()) return to_failure(checked.error());
  if (path == "-") path = "standard input";
  const audit::Verdict& verdict = checked.value();
  boost::json::array not_checked(verdict.not_checked.begin(), verdict.not_checked.end());
  boost::json::object json{
      {"intact", verdict.intact},
      {"file", path},
      {"lines", verdict.lines},
      {"head", {{"seq", verdict.head.seq}, {"hash", audit::to_hex(verdict.head.hash)}}},
      {"checkpoints", verdict.checkpoints},
      {"problem", verdict.problem},
      {"not_checked", not_checked}};
  std::string text = path + ": " + (verdict.intact ? "intact, " : "BROKEN, ") +
                     std::to_string(verdict.lines) + " good lines, " +
                     std::to_string(verdict.checkpoints) + " signed heads\n";
  if (!verdict.problem.empty()) text += verdict.problem + '\n';
  for (const std::string& missing : verdict.not_checked) text += "not checked: " + missing + '\n';
  text = printable(text, true);
  if (verdict.intact) return Answer{std::move(json), std::move(text)};
  return verdict_no(std::move(json), std::move(text), "not_intact", verdict.problem,
                    "keep the file as it is: it is evidence");
}

}  // namespace badged::ctl
