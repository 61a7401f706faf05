#include "daemon/peers/connection_claim.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "daemon/peers/limits.h"

namespace badged::peers {

namespace {

constexpr int kSoPeerPidfd = 77;  // not in Debian 12's headers

struct DiagRequest {
  nlmsghdr header;
  unix_diag_req body;
};

// The inode of the socket at the other end, from one unix_diag answer.
std::optional<std::uint32_t> peer_inode_in(const char* answer, std::size_t length) {
  if (length < sizeof(nlmsghdr)) return std::nullopt;
  nlmsghdr header;
  std::memcpy(&header, answer, sizeof header);
  const std::size_t attributes = NLMSG_LENGTH(sizeof(unix_diag_msg));
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || header.nlmsg_len > length) return std::nullopt;
  for (std::size_t at = attributes; at + sizeof(nlattr) <= header.nlmsg_len;) {
    nlattr attribute;
    std::memcpy(&attribute, answer + at, sizeof attribute);
    if (attribute.nla_len < NLA_HDRLEN || at + attribute.nla_len > header.nlmsg_len) break;
    if (attribute.nla_type == UNIX_DIAG_PEER && attribute.nla_len >= NLA_HDRLEN + 4) {
      std::uint32_t inode = 0;
      std::memcpy(&inode, answer + at + NLA_HDRLEN, sizeof inode);
      return inode;
    }
    at += NLA_ALIGN(attribute.nla_len);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> other_end_inode(int connected_fd) {
  struct stat socket_file {};
  if (::fstat(connected_fd, &socket_file) != 0) return std::nullopt;
  const OwnedFd netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink) return std::nullopt;
  DiagRequest request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.sdiag_family = AF_UNIX;
  request.body.udiag_states = ~0U;
  request.body.udiag_ino = static_cast<std::uint32_t>(socket_file.st_ino);
  request.body.udiag_show = UDIAG_SHOW_PEER;
  request.body.udiag_cookie[0] = ~0U;  // INET_DIAG_NOCOOKIE
  request.body.udiag_cookie[1] = ~0U;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(netlink.get(), &request, sizeof request, 0,
               reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) {
    return std::nullopt;
  }
  // The kernel answers within sendto().
  std::array<char, 4096> answer;
  const ssize_t got = ::recv(netlink.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  if (got < 0) return std::nullopt;
  return peer_inode_in(answer.data(), static_cast<std::size_t>(got));
}

}  // namespace

PeerResult<PeerCredentials> peer_credentials(int connected_fd) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(connected_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return refuse_errno(PeerRefusal::kernel_failure, "SO_PEERCRED", errno);
  }
  // A peer that our pid namespace has no number for.
  if (credentials.pid <= 0) return refuse(PeerRefusal::pid_namespace);
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

PeerResult<OwnedFd> peer_pidfd(int connected_fd) {
  int pidfd = -1;
  socklen_t length = sizeof pidfd;
  if (::getsockopt(connected_fd, SOL_SOCKET, kSoPeerPidfd, &pidfd, &length) == 0) {
    return OwnedFd(pidfd);
  }
  // Kernels before 6.16 give no pidfd of a process that was already reaped.
  if (errno == ESRCH || errno == EINVAL || errno == ENODATA) {
    return refuse(PeerRefusal::process_exited);
  }
  return refuse_errno(PeerRefusal::kernel_failure, "SO_PEERPIDFD", errno);
}

bool kernel_has_peer_pidfd() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return false;
  const OwnedFd one(pair[0]), other(pair[1]);
  return peer_pidfd(one.get()).has_value();
}

PeerResult<OwnedFd> pidfd_of(pid_t pid) {
  OwnedFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (pidfd) return pidfd;
  if (errno == ESRCH) return refuse(PeerRefusal::process_exited);
  return refuse_errno(PeerRefusal::kernel_failure, "pidfd_open", errno);
}

bool is_older_than(std::uint64_t start_ticks, BootMoment queue_was_empty) {
  // /proc rounds the start down to a tick: it started before the end of that tick.
  const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const std::uint64_t nanoseconds_per_tick = 1'000'000'000ULL / ticks_per_second;
  const auto started_before = static_cast<std::int64_t>((start_ticks + 1) * nanoseconds_per_tick);
  return BootMoment(started_before) <= queue_was_empty;
}

bool nothing_was_sent(int connected_fd) {
  char byte;
  const ssize_t got = ::recv(connected_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

bool holds_other_end(int connected_fd, int directory) {
  const auto inode = other_end_inode(connected_fd);
  if (!inode || *inode == 0) return false;
  char wanted[32];
  const int length = std::snprintf(wanted, sizeof wanted, "socket:[%u]", *inode);
  OwnedFd fds(::openat(directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fds) return false;
  const int fds_number = fds.get();
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(fds_number), ::closedir);
  if (!listing) return false;
  fds.release();  // the listing owns it now
  for (std::size_t seen = 0; seen < kMaxDescriptorsSearched; ++seen) {
    const dirent* entry = ::readdir(listing.get());
    if (!entry) return false;
    std::array<char, 32> target;
    const ssize_t got = ::readlinkat(fds_number, entry->d_name, target.data(), target.size());
    const auto size = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    if (got == length && std::string_view(target.data(), size) ==
                             std::string_view(wanted, static_cast<std::size_t>(length))) {
      return true;
    }
  }
  return false;
}

}  // namespace badged::peers
