#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <sstream>

#include "daemon/ctl/doctor.h"
#include "daemon/ctl/limits.h"
#include "daemon/ctl/process.h"

namespace badged::ctl {
namespace {

Check check_device(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    bool bare = path == "/dev/tpmrm0" && ::access("/dev/tpm0", F_OK) == 0;
    if (bare)
      return bad(
          "tpm", path + " is missing, /dev/tpm0 is there",
          "the kernel's resource manager (/dev/tpmrm0) belongs to the tpm module: look at dmesg");
    return bad("tpm", path + ": " + std::strerror(errno),
               "enable the TPM in the firmware, or attach a virtual TPM 2.0 to this machine; "
               "ls /sys/class/tpm shows what the kernel found");
  }
  if (!S_ISCHR(info.st_mode))
    return bad("tpm", path + " is no device", "correct tcti in the configuration");
  if (::access(path.c_str(), R_OK | W_OK) != 0)
    return ::geteuid() == 0
               ? bad("tpm", path + " cannot be opened even by root",
                     "does a container or a sandbox hide it?")
               : warn("tpm", path + " is there, this user may not open it",
                      "nothing to mend for agents; run badgectl doctor as root for a full answer");
  if ((info.st_mode & 0006) != 0)
    return warn("tpm", path + " is open to every user of this host",
                "the udev rules of tpm2-tss give it mode 0660 and group tss");
  return good("tpm", path + " can be opened");
}

Check check_simulator(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == EACCES) return hidden("tpm", path);
    return bad("tpm", "the simulator's socket " + path + ": " + std::strerror(errno),
               "start swtpm");
  }
  if (!S_ISSOCK(info.st_mode)) return bad("tpm", path + " is no socket", "correct tcti");
  return warn("tpm", "a simulator at " + path,
              "its keys are as safe as its state directory: for trials and tests only");
}

std::map<std::string, std::string> properties(const std::string& text) {
  std::map<std::string, std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (auto equals = line.find('='); equals != std::string::npos)
      found[line.substr(0, equals)] = line.substr(equals + 1);
  return found;
}

Check check_memory_limit(std::map<std::string, std::string>& unit) {
  constexpr unsigned long long wanted = 8ULL
                                        << 20;  // OpenSSL's secure heap and the lists beside it
  const std::string& value = unit["LimitMEMLOCK"];
  if (value == "infinity") return good("memlock", "unlimited");
  unsigned long long bytes = std::strtoull(value.c_str(), nullptr, 10);
  if (bytes >= wanted) return good("memlock", value + " bytes may be locked");
  return bad(
      "memlock", "only " + value + " bytes may be locked, keys need 8 MiB",
      "the shipped unit sets LimitMEMLOCK=64M: systemctl cat badged shows what overrides it");
}

}  // namespace

Check check_tpm(const config::Keystore& keystore) {
  if (keystore.kind == config::StoreKind::software)
    return warn("tpm", "keys are kept in software by configuration",
                "development only: every token says so; set keystore.kind = \"tpm\" on real hosts");
  const std::string& tcti = keystore.tcti;
  if (tcti.starts_with("device:")) return check_device(tcti.substr(7));
  std::size_t path = tcti.find("path=");
  if (tcti.starts_with("swtpm:") && path != std::string::npos)
    return check_simulator(tcti.substr(path + 5, tcti.find(',', path) - path - 5));
  return warn("tpm", "tcti " + tcti + " is not one that doctor can look at",
              "badgectl status says whether badged can use it");
}

Check check_clock(const std::string& state_dir) {
  std::time_t now = std::time(nullptr);
  struct stat info {};
  bool known = ::stat((state_dir + "/state.db").c_str(), &info) == 0;
  if (known && info.st_mtime > now + 60)
    return bad(
        "clock",
        "the clock is behind badged's own state by " + std::to_string(info.st_mtime - now) + " s",
        "set the time; badged pauses issuance after a step back");
  timex state{};
  int rc = ::adjtimex(&state);
  if (rc < 0)
    return warn("clock", "the kernel does not say whether it is synchronised",
                "timedatectl says it");
  if (rc == TIME_ERROR || (state.status & STA_UNSYNC) != 0)
    return warn("clock", "not synchronised",
                "tokens live for minutes: run systemd-timesyncd or chrony");
  return good("clock", "synchronised");
}

Check check_disk(const std::string& state_dir) {
  struct statvfs info {};
  if (::statvfs(state_dir.c_str(), &info) != 0) {
    if (errno == EACCES) return hidden("disk", state_dir);
    return errno == ENOENT
               ? warn("disk", state_dir + " does not exist yet",
                      "badged makes it at its first start")
               : bad("disk", state_dir + ": " + std::strerror(errno), "look at its permissions");
  }
  if ((info.f_flag & ST_RDONLY) != 0)
    return bad("disk", state_dir + " is on a read-only file system",
               "remount it: nothing is issued without audit");
  unsigned long long free = 1ULL * info.f_bavail * info.f_frsize;
  std::string detail = std::to_string(free >> 20) + " MiB free for " + state_dir;
  std::string hint =
      "when the disk is full, issuance stops: make room or move old audit files away";
  if (free < limits::disk_free_bad_bytes || (info.f_files != 0 && info.f_favail == 0))
    return bad("disk", detail, hint);
  if (free < limits::disk_free_warn_bytes) return warn("disk", detail, hint);
  return good("disk", detail);
}

Check check_admin_group() {
  if (::getgrnam("badged-admin") != nullptr)
    return good("admin-group", "group badged-admin exists");
  return warn(
      "admin-group", "no group badged-admin: the admin socket is root's alone",
      "systemd-sysusers (with the shipped sysusers file) or groupadd --system badged-admin");
}

Checks check_unit_properties(const std::string& text) {
  auto unit = properties(text);
  if (unit["LoadState"] != "loaded")
    return {warn("unit", "badged.service is not installed",
                 "install systemd/ to /usr/lib/systemd/system")};
  Checks checks;
  const std::string& state = unit["ActiveState"];
  checks.push_back(state == "active" || state == "reloading" || state == "activating"
                       ? good("unit", "badged.service is " + state)
                       : bad("unit", "badged.service is " + state, "journalctl -u badged -e"));
  checks.push_back(check_memory_limit(unit));
  if (unit["LimitCORE"] != "0")
    checks.push_back(
        bad("core-dumps", "badged may dump core", "LimitCORE=0, as the shipped unit has it"));
  std::string open;
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"NoNewPrivileges", "yes"},
                                          {"ProtectSystem", "strict"},
                                          {"PrivateNetwork", "yes"},
                                          {"MemoryDenyWriteExecute", "yes"},
                                          {"RestrictNamespaces", "yes"}})
    if (unit[name] != value) open += (open.empty() ? "" : ", ") + name + "=" + unit[name];
  checks.push_back(open.empty() ? good("sandbox", "as shipped")
                                : warn("sandbox", "loosened: " + open,
                                       "systemctl cat badged shows the drop-in that did it"));
  return checks;
}

Checks check_unit() {
  if (::access("/run/systemd/system", F_OK) != 0)
    return {warn("unit", "no systemd runs here: records cannot name units",
                 "the boundary is then the uid: processes of one uid can trace each other")};
  Result<std::string> shown = output_of(
      {"systemctl", "show", "badged.service",
       "--property=LoadState,ActiveState,LimitMEMLOCK,LimitCORE,NoNewPrivileges,ProtectSystem,"
       "PrivateNetwork,MemoryDenyWriteExecute,RestrictNamespaces"},
      16384);
  if (shown.has_error())
    return {warn("unit", shown.error().what, "is systemctl usable by this user?")};
  return check_unit_properties(shown.value());
}

}  // namespace badged::ctl
