// The processes that are connected now, and the gate that a connection passes before a byte is
// read.
//
// admit() asks the kernel who made the connection and returns the one Process of that caller, or
// why not. Two paths to a descriptor of the caller:
//   SO_PEERPIDFD (Linux 6.5): the kernel hands out a pidfd of whoever called connect().
//   older kernels: SO_PEERCRED's pid, pidfd_open(), and then a proof that the pid was not reused in
//   between, by any of
//     a. the process is older than the last moment at which accept() had nothing to give, so it
//        held its pid when the connection was made;
//     b. nothing had been sent when the pidfd was opened, so every message's credentials (see
//        Stream) are of a process that this pidfd holds;
//     c. unix_diag and /proc/PID/fd say that the process holds the other end.
//   None holds: identity_in_doubt, whose hint is to connect again.
//
// Read at admission, each confirmed afterwards by pidfd and maps descriptor: ids (all four agree),
// user and pid namespace (PID 1's), executable, start time, unit. A process that is known already
// is checked thoroughly and returned.
//
// All members belong to the I/O thread. Needs CAP_SYS_PTRACE for processes of other users (and
// AF_NETLINK for proof c). Never blocks on a file system that a caller controls.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "daemon/peers/limits.h"
#include "daemon/peers/peer.h"
#include "daemon/peers/process.h"
#include "daemon/peers/refusal.h"

namespace boost::asio {
class io_context;
}

namespace badged::peers {

// A moment of CLOCK_BOOTTIME, the clock of process start times.
using BootMoment = std::chrono::nanoseconds;
BootMoment boot_now();

// Call on every listening socket before the first accept(), systemd's included: accepted
// connections inherit SO_PASSCRED, so no early message is without its sender.
Result<void> prepare_listener(int listening_fd);

struct CensusOptions {
  bool force_older_path = false;  // for tests: as if SO_PEERPIDFD did not exist
  std::size_t max_processes = kMaxProcesses;
};

class Census {
 public:
  // Throws ErrorException when PID 1's namespaces cannot be read (CAP_SYS_PTRACE is missing).
  explicit Census(boost::asio::io_context& io, CensusOptions options = {});
  ~Census();
  Census(const Census&) = delete;
  Census& operator=(const Census&) = delete;

  // `queue_was_empty`: the last moment at which accept() on this listener answered EAGAIN (take
  // boot_now() before that accept()). Only the older path uses it; absent is always safe.
  // Costs 100 to 130 us for a new process, about 11 us for a known one.
  PeerResult<std::shared_ptr<Process>> admit(int connected_fd,
                                             std::optional<BootMoment> queue_was_empty = {});

  // The same facts about any process, for an admin who asks by pid. Nothing connects it to a
  // caller: for looking only.
  PeerResult<std::shared_ptr<Process>> inspect(pid_t pid);

  // Starts the timer that checks every process once in kSweepEvery. Stops with stop() or the
  // Census.
  void start_sweeping();
  void stop();

  // Checks every process now. For owners with their own timer, and for tests.
  void sweep();

  std::size_t size() const { return processes_.size(); }
  bool uses_older_path() const { return older_path_; }

 private:
  struct Claim;  // who the kernel says made the connection
  struct Namespaces {
    FileId user, pid, mount;
  };
  class Sweeper;

  static Namespaces init_namespaces();
  PeerResult<Claim> claim(int connected_fd) const;
  bool is_proven(int connected_fd, std::uint64_t start_ticks, int directory,
                 std::optional<BootMoment> queue_was_empty) const;
  PeerResult<std::shared_ptr<Process>> known(const std::shared_ptr<Process>& process,
                                             const Claim& claim, int connected_fd,
                                             std::optional<BootMoment> queue_was_empty);
  PeerResult<std::shared_ptr<Process>> meet(Claim claim, int connected_fd,
                                            std::optional<BootMoment> queue_was_empty);
  PeerResult<ProcessFacts> gather(const Claim& claim, int directory) const;
  void sweep_some(std::size_t count);
  void forget_dead();

  boost::asio::io_context& io_;
  CensusOptions options_;
  bool older_path_;
  Namespaces init_;  // PID 1's
  // Weak: a Process lives as long as a connection or a session holds it.
  std::map<pid_t, std::weak_ptr<Process>> processes_;
  pid_t sweep_at_ = 0;
  std::shared_ptr<Sweeper> sweeper_;
};

}  // namespace badged::peers
