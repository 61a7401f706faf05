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

// A file by what the kernel calls it, not by its name.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t ctime_ns = 0;
  bool operator==(const FileId&) const = default;
};

// A systemd system unit (PID 1's manager), as far as it could be proven.
struct UnitFacts {
  std::string name;           // "invoice-bot.service"; empty: none that counts
  std::string invocation_id;  // 32 hex digits, from the root-owned /run/systemd/units
  bool exact_cgroup = false;  // in the unit's own cgroup, not in a (delegated) subtree
};

struct ProcessFacts {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // since boot, field 22 of /proc/PID/stat
  uid_t uid = 0;                  // real, effective, saved and fs ids agree, or the peer is refused
  gid_t gid = 0;
  std::string executable;         // where /proc/PID/exe points, for people and records
  FileId executable_id;
  bool executable_on_local_disk = false;  // not FUSE, not a network file system: may be hashed
  UnitFacts unit;
};

enum class Liveness {
  same,    // the process that connected, running the program it connected with
  exited,
  execed,  // same pid, another memory image: no longer the caller we knew
};

}  // namespace badged::peers
