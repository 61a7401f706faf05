// Who is calling: what the kernel says about one process, and whether it is still that process.
//
// PeerIdentity facts are read once, at the first connection of a process, and shared by all of its
// connections. Nothing a caller says enters here. The clauses are those of "Who is the agent" and
// "Binding" in docs/architecture.md.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "keystore/bytes.h"
#include "keystore/result.h"

namespace badged::peers {

// A file by what the kernel calls it, not by its name. A deletion or a chmod changes ctime but not
// the file: who compares a caller with a record compares is_same_file().
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t ctime_ns = 0;
  bool operator==(const FileId&) const = default;
  bool is_same_file(const FileId& other) const {
    return device == other.device && inode == other.inode;
  }
};

// A service of PID 1's systemd, as far as it could be proven. `name` is set only when the process
// is in the service's own cgroup (nothing below it, so no delegated subtree), the service is none
// of a user manager (user@UID.service never counts), and PID 1 published an InvocationID for it.
struct UnitFacts {
  std::string name;           // "invoice-bot.service"; empty: none that counts
  std::string invocation_id;  // 32 hex digits, from the root-owned /run/systemd/units
  bool operator==(const UnitFacts&) const = default;
  explicit operator bool() const { return !name.empty(); }
};

struct ProcessFacts {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // since boot, field 22 of /proc/PID/stat
  uid_t uid = 0;                  // real, effective, saved and fs ids agree, or the peer is refused
  gid_t gid = 0;
  // Where /proc/PID/exe points, for people. Empty when the name holds control bytes. In another
  // mount namespace (see below) it says nothing about the host's files, and "(deleted)" may be at
  // its end: records compare executable_id.
  std::string executable;
  FileId executable_id;
  bool host_mount_namespace = false;  // the same as PID 1's; hardened units have their own
  UnitFacts unit;
};

enum class Liveness {
  same,  // the process that connected, running the program it connected with
  exited,
  execed,       // same pid, another memory image: no longer the caller we knew
  ids_changed,  // it runs under another uid or gid than it was admitted with
};
constexpr const char* to_string(Liveness liveness) {
  switch (liveness) {
    case Liveness::same:
      return "same";
    case Liveness::exited:
      return "exited";
    case Liveness::execed:
      return "execed";
    case Liveness::ids_changed:
      return "ids-changed";
  }
  return "unknown";
}

}  // namespace badged::peers
