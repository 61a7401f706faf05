// What /proc/PID says about one process, read through one opened directory.
//
// The directory descriptor belongs to one process for good: when that process is gone every read
// through it fails with ESRCH (process_exited), whoever has the pid by then. Any thread.
#pragma once

#include <string>

#include "daemon/peers/owned_fd.h"
#include "daemon/peers/peer.h"
#include "daemon/peers/process.h"
#include "daemon/peers/refusal.h"

namespace badged::peers {

PeerResult<OwnedFd> open_process_directory(pid_t pid);
PeerResult<OwnedFd> open_process_file(int directory, const char* name);

struct ProcessStat {
  char state = '?';      // 'Z' and 'X': it ends
  bool exiting = false;  // PF_EXITING: set before an exit gives the memory up, never by an exec
  std::uint64_t start_ticks = 0;
  MemoryLayout layout;  // {} in an exit, and for a moment within an exec
};
// `stat_fd` may be kept and read again. parse_stat is the pure half.
PeerResult<ProcessStat> read_stat(int stat_fd);
PeerResult<ProcessStat> parse_stat(std::string_view text);

// One uid and one gid; ids_differ when the four of each are not the same.
struct ProcessIds {
  uid_t uid = 0;
  gid_t gid = 0;
};
PeerResult<ProcessIds> read_ids(int directory);
PeerResult<ProcessIds> parse_ids(std::string_view status);

// `name`: "user", "pid", "mnt".
PeerResult<FileId> read_namespace(int directory, const char* name);

// The program file, without asking a file system's server for anything.
struct ExecutableFacts {
  OwnedFd path_fd;  // O_PATH
  FileId id;
  std::uint64_t mount_id = 0;
  std::uint32_t mode = 0;
  std::uint64_t size = 0;
};
PeerResult<ExecutableFacts> find_executable(int directory);
// Empty when it cannot be shown: too long, or with control bytes.
std::string executable_name(int directory);

// Whether the memory image that `maps_fd` was opened on is still that of a process.
bool memory_is_same(int maps_fd);
bool pidfd_is_readable(int pidfd);  // the process has exited

// Reads at most `limit` bytes from offset 0 to the end of a /proc file.
PeerResult<std::string> read_process_file(int directory, const char* name, std::size_t limit);

}  // namespace badged::peers
