// The executable of a process as a file: where it lives, and what its bytes hash to. Blocks on the
// disk: for worker threads.
#pragma once

#include <atomic>

#include "daemon/peers/peer.h"
#include "daemon/peers/refusal.h"
#include "keystore/bytes.h"

namespace badged::peers {

struct HashedFile {
  FileId id;  // the same before and after the reading
  Digest digest{};
  bool may_keep = false;  // its ctime is old enough to show a later change
};

// `directory` is an opened /proc/PID, `admitted` the executable at admission. Gives up with `busy`
// when `stopping` becomes true.
PeerResult<HashedFile> hash_executable(int directory, const FileId& admitted,
                                       const std::atomic<bool>& stopping);

// Pure. Whether the mount `mount_id` of a mountinfo text is of a file system type that is known to
// keep its files on this host. Unknown types, FUSE, and mounts not listed are not.
bool is_on_local_file_system(std::string_view mountinfo, std::uint64_t mount_id);

}  // namespace badged::peers
