// Which system service a process belongs to, by its cgroup and what PID 1 published about it.
//
// Neither user.* xattrs nor the environment nor the D-Bus of the caller enter. Any thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "daemon/peers/peer.h"
#include "daemon/peers/refusal.h"

namespace badged::peers {

constexpr const char* kUnitsDirectory = "/run/systemd/units";

// Empty facts when no service counts: no systemd, another kind of unit, a user manager, a cgroup
// below the service's own, no InvocationID published. PeerRefusal::busy where we could not look.
// Confirm the pid afterwards.
PeerResult<UnitFacts> unit_of(pid_t pid, const char* units_directory = kUnitsDirectory);

// The InvocationID that PID 1 has published for `unit` now; empty when there is none, or when it is
// not root's word.
std::string invocation_of(const std::string& unit, const char* units_directory = kUnitsDirectory);

// Pure. Whether `cgroup` ("/system.slice/x.service") is the own cgroup of the service `unit`: only
// slices above it, nothing below it, and not a user manager's.
bool is_own_cgroup(std::string_view cgroup, std::string_view unit);

}  // namespace badged::peers
