// The checks behind `badgectl doctor`. Each looks at one thing, changes nothing, and ends in what
// an admin should do. None needs badged to run.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/ctl/options.h"

namespace badged::ctl {

struct Check {
  enum class Verdict { ok, warn, bad };
  std::string name;
  Verdict verdict = Verdict::ok;
  std::string detail;
  std::string hint;  // empty when ok
};
using Checks = std::vector<Check>;

Check good(std::string name, std::string detail);
Check warn(std::string name, std::string detail, std::string hint);
Check bad(std::string name, std::string detail, std::string hint);
// What `path` is kept from this user is no fault: an agent may run doctor, too.
Check hidden(std::string name, const std::string& path);

// The host (doctor_host.cpp).
Check check_tpm(const config::Keystore& keystore);
Check check_clock(const std::string& state_dir);
Check check_disk(const std::string& state_dir);
Check check_admin_group();
// What systemd runs badged with; `unit` as `systemctl show` prints it (NAME=VALUE lines).
Checks check_unit_properties(const std::string& unit);
Checks check_unit();

// badged's own (doctor.cpp).
Checks check_config(const Options& options, std::optional<config::Config>& config);
Check check_records(const config::Config& config);
// The whole log, as `badgectl audit verify` reads it, line by line: start checks its end alone.
Check check_audit_log(const std::string& state_dir);
Check check_socket(const std::string& name, const std::string& path, unsigned allowed_mode);
Checks check_daemon(const Options& options);

}  // namespace badged::ctl
