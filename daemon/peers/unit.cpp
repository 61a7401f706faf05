#include "daemon/peers/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <systemd/sd-login.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>

#include "daemon/peers/limits.h"
#include "daemon/peers/owned_fd.h"

namespace badged::peers {

namespace {

struct Free {
  void operator()(char* text) const { std::free(text); }
};
using OwnedText = std::unique_ptr<char, Free>;

constexpr std::size_t kInvocationDigits = 32;

bool is_user_manager(std::string_view unit) {
  return unit.starts_with("user@");
}

// systemd.unit(5): the characters a unit's name may hold. Keeps "/" out of the path below.
bool is_service_name(std::string_view unit) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view(":-_.\\@").find(c) != std::string_view::npos;
  };
  return unit.size() <= kMaxUnitName && unit.ends_with(".service") &&
         std::all_of(unit.begin(), unit.end(), allowed);
}

}  // namespace

// PID 1 publishes the id as the target of a link that only root can make.
std::string invocation_of(const std::string& unit, const char* units_directory) {
  const OwnedFd directory(::open(units_directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat about {};
  if (!directory || ::fstat(directory.get(), &about) != 0) return {};
  if (about.st_uid != 0 || (about.st_mode & (S_IWGRP | S_IWOTH)) != 0) return {};
  const std::string link = "invocation:" + unit;
  if (::fstatat(directory.get(), link.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) return {};
  if (about.st_uid != 0 || !S_ISLNK(about.st_mode)) return {};
  std::array<char, 64> target;
  const ssize_t got = ::readlinkat(directory.get(), link.c_str(), target.data(), target.size());
  if (got != kInvocationDigits) return {};
  const bool hex = std::all_of(target.begin(), target.begin() + got, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  return hex ? std::string(target.data(), kInvocationDigits) : std::string{};
}

bool is_own_cgroup(std::string_view cgroup, std::string_view unit) {
  if (!is_service_name(unit) || is_user_manager(unit) || !cgroup.starts_with('/')) return false;
  cgroup.remove_prefix(1);
  for (std::size_t slash; (slash = cgroup.find('/')) != std::string_view::npos;) {
    if (!cgroup.substr(0, slash).ends_with(".slice")) return false;
    cgroup.remove_prefix(slash + 1);
  }
  // systemd escapes names that look like a controller's file with a leading "_".
  if (cgroup.starts_with('_')) cgroup.remove_prefix(1);
  return cgroup == unit;
}

PeerResult<UnitFacts> unit_of(pid_t pid, const char* units_directory) {
  char* text = nullptr;
  int failure = -::sd_pid_get_unit(pid, &text);
  const OwnedText unit(text);
  text = nullptr;
  if (failure <= 0) failure = -::sd_pid_get_cgroup(pid, &text);
  const OwnedText cgroup(text);
  if (is_shortage(failure)) return refuse_errno(PeerRefusal::busy, "find the unit", failure);
  if (failure > 0 || !is_own_cgroup(cgroup.get(), unit.get())) return UnitFacts{};
  errno = 0;
  UnitFacts facts{unit.get(), invocation_of(unit.get(), units_directory)};
  if (!facts.invocation_id.empty()) return facts;
  if (is_shortage(errno)) return refuse_errno(PeerRefusal::busy, "find the invocation", errno);
  return UnitFacts{};
}

}  // namespace badged::peers
