// The private socket of `badgectl exec`: bytes of CMD and its children go to badged over
// connections of badgectl's own, so that badged sees one process, the one that holds the session.
//
// Who may use it: processes of this uid that descend from badgectl (which is their subreaper, so an
// orphan still descends from it), each on the connection that it made itself: a message by another
// process on it, or a descriptor sent along, ends the connection. Between processes of one uid this
// is order, not a wall: they can trace each other. One thread, non-blocking, bounded.
#pragma once

#include <poll.h>

#include <string>
#include <vector>

#include "daemon/ctl/limits.h"
#include "daemon/ctl/process.h"

namespace badged::ctl {

// A directory of our own (0700) with the socket in it (0600); both vanish with the object.
class PrivateSocket {
 public:
  // Below `runtime_dir` where that is a directory of this user, else below /tmp.
  static Result<PrivateSocket> make(const std::string& runtime_dir);
  PrivateSocket(PrivateSocket&&) noexcept = default;
  PrivateSocket& operator=(PrivateSocket&&) = delete;
  ~PrivateSocket();
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

 private:
  PrivateSocket(std::string directory, std::string path, Fd fd)
      : directory_(std::move(directory)), path_(std::move(path)), fd_(std::move(fd)) {}
  std::string directory_;
  std::string path_;
  Fd fd_;
};

// Does `pid` descend from `ancestor` (or is it that)? False when in doubt.
bool descends(pid_t pid, pid_t ancestor);

class Relay {
 public:
  Relay(int listener, std::string daemon_socket)
      : listener_(listener), daemon_socket_(std::move(daemon_socket)) {}

  // Appends what to wait for; step() then takes the same entries with their results.
  void wait_for(std::vector<pollfd>& entries) const;
  void step(const pollfd* entries);

 private:
  struct Direction {
    std::string pending;  // read and not yet written
    bool ended = false;   // the reading side said so
    bool passed = false;  // and we said so to the other side
  };
  struct Connection {
    Fd client, badged;
    pid_t pid = 0;
    Direction up, down;
    bool broken = false;
  };

  void accept_one();
  void refuse(Fd client, const char* status, const std::string& members);
  void drain_refused(const pollfd* entries);
  static void read_client(Connection& connection);
  static void read_badged(Connection& connection);
  static void write_to(Fd& fd, Direction& direction, bool& broken);
  static bool finished(const Connection& connection);

  int listener_;
  std::string daemon_socket_;
  std::vector<Connection> connections_;
  std::vector<Fd> refused_;  // answered; kept until they hang up, so that they can read the answer
};

}  // namespace badged::ctl
