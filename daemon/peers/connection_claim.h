// Who the kernel says made a connection, and the proofs that older kernels need.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "daemon/peers/census.h"
#include "daemon/peers/owned_fd.h"
#include "daemon/peers/refusal.h"

namespace badged::peers {

// SO_PEERCRED: of the moment of connect(). uid and gid are the effective ones.
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};
PeerResult<PeerCredentials> peer_credentials(int connected_fd);

// SO_PEERPIDFD. process_exited when the peer is gone.
PeerResult<OwnedFd> peer_pidfd(int connected_fd);
bool kernel_has_peer_pidfd();

PeerResult<OwnedFd> pidfd_of(pid_t pid);

// Proof a: the process was there before the listener's queue was last seen empty.
bool is_older_than(std::uint64_t start_ticks, BootMoment queue_was_empty);
// Proof b: nothing was sent yet. Counts only while a pidfd of the process is already held.
bool nothing_was_sent(int connected_fd);
// Proof c: `directory` (/proc/PID) has the other end among its descriptors. False when unix_diag
// does not say (no AF_NETLINK, other network namespace) or the search exceeds its bound.
bool holds_other_end(int connected_fd, int directory);

}  // namespace badged::peers
