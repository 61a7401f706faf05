// The listening sockets: systemd's, or made here with the checks of hostile.md 9.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "daemon/peers/owned_fd.h"
#include "keystore/result.h"

namespace badged::front {

struct SocketPlan {
  std::string name;  // FileDescriptorName= of the .socket unit: "agent", "admin"
  std::string path;
  mode_t mode = 0600;
  mode_t directory_mode = 0755;  // of the directory, where it has to be made
  std::optional<gid_t> group;    // of the socket and a directory made for it
};

// The socket that systemd passed under this name, or nothing. Refused: one that is no listening
// Unix stream socket.
Result<std::optional<peers::OwnedFd>> adopt_socket(const SocketPlan& plan);

// Makes the socket. Refused, with the reason: a relative or overlong path, a symlink or a foreign
// file at the path, a directory that others than us and root own or can write, a socket that a
// living server answers. A dead server's own socket is replaced. Sticky parents above are fine.
Result<peers::OwnedFd> bind_socket(const SocketPlan& plan);

}  // namespace badged::front
