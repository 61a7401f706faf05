#include "daemon/peers/stream.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "daemon/peers/message_sender.h"

namespace badged::peers {

namespace {

// Room for exactly one sender. Descriptors come after it in the kernel's order and find no room:
// they are dropped by the kernel, which says so with MSG_CTRUNC, and never use a number of ours.
constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(ucred));

std::optional<ucred> sender_of(msghdr& message) {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS ||
      header->cmsg_len < CMSG_LEN(sizeof(ucred))) {
    return std::nullopt;
  }
  ucred sender;
  std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
  return sender;
}

bool set_up(int fd) {
  const int on = 1;
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
         ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
         ::setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0;
}

bool gone(int error_number) {
  return error_number == EPIPE || error_number == ECONNRESET;
}

}  // namespace

PeerResult<Stream> Stream::open(boost::asio::io_context& io, OwnedFd fd,
                                std::shared_ptr<Process> process) {
  if (!set_up(fd.get())) return refuse_errno(PeerRefusal::kernel_failure, "set up", errno);
  boost::asio::posix::stream_descriptor descriptor(io);
  boost::system::error_code error;
  descriptor.assign(fd.get(), error);
  if (error) return refuse(PeerRefusal::kernel_failure, "watch the connection");
  fd.release();  // the descriptor owns it now
  return Stream(std::move(descriptor), std::move(process));
}

Stream::Stream(boost::asio::posix::stream_descriptor descriptor, std::shared_ptr<Process> process)
    : descriptor_(std::move(descriptor)), process_(std::move(process)) {}

PeerResult<Moved> Stream::read_some(std::span<std::uint8_t> buffer) {
  if (refused_) return refuse(*refused_);
  alignas(cmsghdr) std::array<std::uint8_t, kControlBytes> control;
  iovec into{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got;
  do {
    got = ::recvmsg(descriptor_.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Moved{};
  if (got == 0 || (got < 0 && gone(errno))) return Moved{StreamState::closed, 0};
  if (got < 0) return refuse_errno(PeerRefusal::kernel_failure, "recvmsg", errno);
  refused_ = check_sender(process_->facts(), sender_of(message));
  if (refused_ == PeerRefusal::process_ids_changed) process_->end(Liveness::ids_changed);
  if (!refused_ && (message.msg_flags & MSG_CTRUNC) != 0) refused_ = PeerRefusal::passed_descriptor;
  if (refused_) return refuse(*refused_);
  return Moved{StreamState::ready, static_cast<std::size_t>(got)};
}

PeerResult<Moved> Stream::write_some(ByteView bytes) {
  ssize_t put;
  do {
    put = ::send(descriptor_.native_handle(), bytes.data(), bytes.size(),
                 MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (put < 0 && errno == EINTR);
  if (put >= 0) return Moved{StreamState::ready, static_cast<std::size_t>(put)};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Moved{};
  if (gone(errno)) return Moved{StreamState::closed, 0};
  return refuse_errno(PeerRefusal::kernel_failure, "send", errno);
}

void Stream::close() {
  boost::system::error_code ignored;  // the descriptor is closed either way
  descriptor_.close(ignored);
}

}  // namespace badged::peers
