#include "daemon/ctl/relay.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>

#include "keystore/random.h"

namespace badged::ctl {
namespace {

// Members of an answer's object; refuse() adds the correlation id.
constexpr const char* not_ours =
    "\"error\":\"unauthorized_client\",\"error_description\":\"this socket serves one command and "
    "its children\",\"hint\":\"start the process below badgectl exec\"";
constexpr const char* no_daemon =
    "\"error\":\"temporarily_unavailable\",\"error_description\":\"badgectl exec cannot reach "
    "badged\",\"hint\":\"badgectl doctor\"";

// Nothing of badged's is on record under it: badged never saw the request.
std::string new_correlation_id() {
  std::array<std::uint8_t, 16> bytes{};
  keystore::fill_random(bytes);
  std::string id;
  for (const auto byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

bool address_of(const std::string& path, sockaddr_un& address) {
  if (path.size() > limits::socket_path_bytes) return false;
  address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return true;
}

std::string base_directory(const std::string& runtime_dir) {
  struct stat info {};
  bool usable = !runtime_dir.empty() && runtime_dir.size() < 60 &&
                ::stat(runtime_dir.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
                info.st_uid == ::geteuid();
  return usable ? runtime_dir : "/tmp";
}

std::optional<ucred> peer_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return {};
  return peer;
}

// Field 4 of /proc/PID/stat; the name in field 2 may hold spaces and parentheses.
pid_t parent_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return 0;
  std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 4 >= text.size()) return 0;
  return static_cast<pid_t>(std::strtol(text.c_str() + name_end + 4, nullptr, 10));
}

// Were the bytes sent by `pid`, and nothing else with them? Closes what came along.
bool sent_by(msghdr& message, pid_t pid) {
  bool good = (message.msg_flags & MSG_CTRUNC) == 0, named = false;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    if (c->cmsg_type == SCM_CREDENTIALS) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(c), sizeof sender);
      named = sender.pid == pid;
    }
    if (c->cmsg_type != SCM_RIGHTS) continue;
    good = false;
    for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(c) + (at - CMSG_LEN(0)), sizeof descriptor);
      ::close(descriptor);
    }
  }
  return good && named;
}

}  // namespace

Result<PrivateSocket> PrivateSocket::make(const std::string& runtime_dir) {
  std::string directory = base_directory(runtime_dir) + "/badgectl-XXXXXX";
  if (!::mkdtemp(directory.data()))
    return fail(Errc::unavailable,
                "make a directory for the private socket: " + std::string(std::strerror(errno)),
                "XDG_RUNTIME_DIR or /tmp must be writable");
  PrivateSocket made(directory, directory + "/agent.sock",
                     Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  sockaddr_un address;
  int on = 1;
  mode_t before = ::umask(0177);
  bool bound = address_of(made.path_, address) &&
               ::bind(made.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::umask(before);
  // Accepted sockets inherit it, so that even what was sent before accept names its sender.
  if (!bound || ::setsockopt(made.fd(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      ::listen(made.fd(), 64) != 0)
    return fail(Errc::unavailable,
                "listen on the private socket: " + std::string(std::strerror(errno)));
  return made;
}

PrivateSocket::~PrivateSocket() {
  if (!fd_) return;  // moved from
  ::unlink(path_.c_str());
  ::rmdir(directory_.c_str());
}

bool descends(pid_t pid, pid_t ancestor) {
  for (int steps = 0; pid > 1 && steps < limits::relay_ancestors; ++steps) {
    if (pid == ancestor) return true;
    pid = parent_of(pid);
  }
  return false;
}

void Relay::wait_for(std::vector<pollfd>& entries) const {
  bool room = connections_.size() < limits::relay_connections;
  entries.push_back({listener_, static_cast<short>(room ? POLLIN : 0), 0});
  auto events = [](const Direction& in, const Direction& out) {
    bool reads = !in.ended && in.pending.size() < limits::relay_buffer_bytes;
    bool writes = !out.pending.empty();
    return static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
  };
  for (const Connection& c : connections_) {
    short client = events(c.up, c.down), badged = events(c.down, c.up);
    // With nothing to do, a hung-up descriptor would wake poll for ever: it is left out (-1).
    entries.push_back({client ? c.client.get() : -1, client, 0});
    entries.push_back({badged ? c.badged.get() : -1, badged, 0});
  }
  for (const Fd& fd : refused_) entries.push_back({fd.get(), POLLIN, 0});
}

// A short answer in HTTP, so that the refused client says something better than "hung up".
void Relay::refuse(Fd client, const char* status, const std::string& members) {
  const std::string id = new_correlation_id();
  const std::string body = "{" + members + ",\"correlation_id\":\"" + id + "\"}";
  std::string answer = std::string("HTTP/1.1 ") + status +
                       "\r\nContent-Type: application/json\r\nX-Correlation-Id: " + id +
                       "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
                       "\r\n\r\n" + body;
  [[maybe_unused]] ssize_t n =
      ::send(client.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(client.get(), SHUT_WR);
  if (refused_.size() >= limits::relay_refused) refused_.erase(refused_.begin());
  refused_.push_back(std::move(client));
}

void Relay::drain_refused(const pollfd* entries) {
  for (std::size_t i = 0; i < refused_.size(); ++i) {
    char scrap[4096];
    if (entries[i].revents == 0) continue;
    ssize_t n = ::recv(refused_[i].get(), scrap, sizeof scrap, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) refused_[i].close();
  }
  std::erase_if(refused_, [](const Fd& fd) { return !fd; });
}

void Relay::step(const pollfd* entries) {
  drain_refused(entries + 1 + 2 * connections_.size());
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Connection& c = connections_[i];
    short client = entries[1 + 2 * i].revents, badged = entries[2 + 2 * i].revents;
    if (client & (POLLIN | POLLHUP | POLLERR)) read_client(c);
    if (badged & (POLLIN | POLLHUP | POLLERR)) read_badged(c);
    write_to(c.badged, c.up, c.broken);
    write_to(c.client, c.down, c.broken);
  }
  std::erase_if(connections_, finished);
  if (entries[0].revents & POLLIN) accept_one();
}

bool Relay::finished(const Connection& c) {
  // Once badged has ended and all of it was passed on, what a client still says goes nowhere.
  return c.broken || c.down.passed;
}

void Relay::accept_one() {
  Fd client(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client) return;
  std::optional<ucred> peer = peer_of(client.get());
  if (!peer || peer->uid != ::geteuid() || !descends(peer->pid, ::getpid()))
    return refuse(std::move(client), "403 Forbidden", not_ours);
  sockaddr_un address;
  Fd badged(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!badged || !address_of(daemon_socket_, address) ||
      ::connect(badged.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return refuse(std::move(client), "503 Service Unavailable", no_daemon);
  Connection made;
  made.client = std::move(client);
  made.badged = std::move(badged);
  made.pid = peer->pid;
  connections_.push_back(std::move(made));
}

void Relay::read_client(Connection& c) {
  if (c.up.ended || c.up.pending.size() >= limits::relay_buffer_bytes) return;
  char chunk[limits::relay_buffer_bytes];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(64 * sizeof(int))];
  iovec into{chunk, sizeof chunk};
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = ::recvmsg(c.client.get(), &message, MSG_CMSG_CLOEXEC);
  if (n < 0) {
    c.broken = errno != EAGAIN && errno != EINTR;
    return;
  }
  if (n == 0) {
    c.up.ended = true;
    return;
  }
  c.broken = !sent_by(message, c.pid);
  if (!c.broken) c.up.pending.append(chunk, static_cast<std::size_t>(n));
}

void Relay::read_badged(Connection& c) {
  if (c.down.ended || c.down.pending.size() >= limits::relay_buffer_bytes) return;
  char chunk[limits::relay_buffer_bytes];
  ssize_t n = ::recv(c.badged.get(), chunk, sizeof chunk, 0);
  if (n > 0) c.down.pending.append(chunk, static_cast<std::size_t>(n));
  if (n == 0) c.down.ended = true;
  if (n < 0) c.broken = errno != EAGAIN && errno != EINTR;
}

void Relay::write_to(Fd& fd, Direction& direction, bool& broken) {
  if (!direction.pending.empty()) {
    ssize_t n = ::send(fd.get(), direction.pending.data(), direction.pending.size(),
                       MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) direction.pending.erase(0, static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR) broken = true;
  }
  if (direction.ended && !direction.passed && direction.pending.empty()) {
    ::shutdown(fd.get(), SHUT_WR);
    direction.passed = true;
  }
}

}  // namespace badged::ctl
