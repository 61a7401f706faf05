#include "daemon/front/listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace badged::front {
namespace {

constexpr int kBacklog = 4096;  // the kernel caps it at net.core.somaxconn

Error refuse(const SocketPlan& plan, const std::string& why, std::string hint) {
  return fail(Errc::refused, "make the " + plan.name + " socket " + plan.path + ": " + why,
              std::move(hint));
}

Error system_failure(const SocketPlan& plan, const char* call) {
  return fail(Errc::unavailable, "make the " + plan.name + " socket " + plan.path + ": " + call +
                                     ": " + std::strerror(errno));
}

// Whoever can write a directory on the way can put a socket of their own at our path. A sticky one
// above (/tmp) is fine: there, only the owner renames what is in it.
Result<void> check_directory(const SocketPlan& plan, const std::string& directory, bool last) {
  struct stat found {};
  if (::lstat(directory.c_str(), &found) != 0) return system_failure(plan, "lstat its directory");
  if (!S_ISDIR(found.st_mode))
    return refuse(plan, directory + " is not a directory (links are not followed)",
                  "give a path whose directories are real");
  if (found.st_uid != 0 && found.st_uid != ::geteuid())
    return refuse(plan, directory + " belongs to another user", "chown it to root");
  const bool others_write = (found.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  const bool sticky = (found.st_mode & S_ISVTX) != 0;
  if (others_write && (last || !sticky))
    return refuse(plan, directory + " can be written by others", "chmod go-w " + directory);
  return ok();
}

Result<void> prepare_directories(const SocketPlan& plan) {
  const auto end = plan.path.rfind('/');
  for (auto slash = plan.path.find('/', 1); slash != std::string::npos && slash <= end;
       slash = plan.path.find('/', slash + 1)) {
    const auto directory = plan.path.substr(0, slash);
    const bool last = slash == end;
    const mode_t mode = last ? plan.directory_mode : 0755;
    if (::mkdir(directory.c_str(), mode) == 0) {
      // The umask must not decide who reaches the socket.
      if (::chmod(directory.c_str(), mode) != 0) return system_failure(plan, "chmod its directory");
      if (last && plan.group &&
          ::chown(directory.c_str(), static_cast<uid_t>(-1), *plan.group) != 0)
        return system_failure(plan, "chown its directory");
    } else if (errno != EEXIST) {
      return system_failure(plan, "mkdir");
    }
    if (auto fine = check_directory(plan, directory, last); !fine) return fine;
  }
  return ok();
}

sockaddr_un address_of(const SocketPlan& plan) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, plan.path.data(), plan.path.size());
  return address;
}

int connect_to(int socket, const sockaddr_un& address) {
  return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

// What a dead badged left may go; anything else stays.
Result<void> clear_path(const SocketPlan& plan) {
  struct stat found {};
  if (::lstat(plan.path.c_str(), &found) != 0)
    return errno == ENOENT ? ok() : Result<void>(system_failure(plan, "lstat"));
  if (!S_ISSOCK(found.st_mode))
    return refuse(plan, "something that is not a socket is there",
                  "look at it, and move it away if it may go");
  if (found.st_uid != ::geteuid())
    return refuse(plan, "a socket of another user is there", "remove it if it may go");
  const peers::OwnedFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto address = address_of(plan);
  if (connect_to(probe.get(), address) == 0 || errno == EAGAIN)
    return refuse(plan, "a living server answers there", "stop it, or choose another path");
  if (errno != ECONNREFUSED) return system_failure(plan, "connect to the old socket");
  if (::unlink(plan.path.c_str()) != 0) return system_failure(plan, "unlink the old socket");
  return ok();
}

}  // namespace

Result<std::optional<peers::OwnedFd>> adopt_socket(const SocketPlan& plan) {
  char** names = nullptr;
  const int count = sd_listen_fds_with_names(0, &names);
  if (count < 0) return system_failure(plan, "ask systemd for sockets");
  std::optional<peers::OwnedFd> adopted;
  for (int i = 0; i < count; ++i) {
    if (plan.name == names[i]) adopted = peers::OwnedFd(SD_LISTEN_FDS_START + i);
    std::free(names[i]);
  }
  std::free(names);
  if (!adopted) return adopted;
  if (sd_is_socket_unix(adopted->get(), SOCK_STREAM, 1, nullptr, 0) <= 0)
    return refuse(plan, "systemd passed something that is no listening Unix stream socket",
                  "use ListenStream= with a path in the .socket unit");
  const int flags = ::fcntl(adopted->get(), F_GETFL);
  if (::fcntl(adopted->get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(adopted->get(), F_SETFD, FD_CLOEXEC) != 0)
    return system_failure(plan, "fcntl");
  return adopted;
}

Result<peers::OwnedFd> bind_socket(const SocketPlan& plan) {
  if (plan.path.empty() || plan.path.front() != '/' ||
      plan.path.size() >= sizeof sockaddr_un{}.sun_path)
    return refuse(plan, "the path must be absolute and at most 107 bytes", "choose a shorter path");
  if (auto ready = prepare_directories(plan); !ready) return ready.error();
  if (auto clear = clear_path(plan); !clear) return clear.error();
  peers::OwnedFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_failure(plan, "socket");
  const auto address = address_of(plan);
  // Nobody but us may connect before the mode is right.
  const mode_t before = ::umask(0177);
  const int bound =
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::umask(before);
  if (bound != 0) return system_failure(plan, "bind");
  if (plan.group && ::chown(plan.path.c_str(), static_cast<uid_t>(-1), *plan.group) != 0)
    return system_failure(plan, "chown");
  if (::chmod(plan.path.c_str(), plan.mode) != 0) return system_failure(plan, "chmod");
  if (::listen(socket.get(), kBacklog) != 0) return system_failure(plan, "listen");
  return socket;
}

}  // namespace badged::front
