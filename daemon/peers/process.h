// One calling process, shared by all of its connections, and whether it is still that process.
//
// A Process holds a pidfd (readable at exit, and the proof that its pid is not reused), a
// descriptor of /proc/PID/maps (belongs to the memory image of the moment it was opened: after exec
// a read gives 0 bytes) and one of /proc/PID/stat. It is made by Census alone, so its facts are
// always the kernel's. All members belong to the I/O thread.
//
// It ends once, by whichever comes first: the pidfd event (exit), a failing check(), the census'
// sweep, or end(). Ending calls every listener, each at most once, on the I/O thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "daemon/peers/owned_fd.h"
#include "daemon/peers/peer.h"
#include "daemon/peers/refusal.h"

namespace badged::peers {

// What exec replaces, as /proc/PID/stat shows it. Catches an exec that the maps descriptor misses
// because a child made with CLONE_VM keeps the old memory alive. All 0: no memory any more.
struct MemoryLayout {
  std::uint64_t code_start = 0, code_end = 0, stack_start = 0, data_start = 0, data_end = 0;
  std::uint64_t heap_start = 0;
  bool operator==(const MemoryLayout&) const = default;
};

class ExitWatch;  // the pidfd in the event loop

class Process : public std::enable_shared_from_this<Process> {
 public:
  using EndListener = std::function<void(Liveness)>;

  // Keeps a listener registered; destroying it unregisters. May outlive the Process.
  class Listening {
   public:
    Listening() = default;
    Listening(Listening&& other) noexcept = default;
    Listening& operator=(Listening&& other) noexcept;
    ~Listening();

   private:
    friend class Process;
    std::weak_ptr<Process> process_;
    std::shared_ptr<EndListener> listener_;
  };

  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const ProcessFacts& facts() const { return facts_; }

  // Set once ExecutableDigests has answered for this process; fixed from then on.
  const std::optional<Digest>& executable_digest() const { return digest_; }

  // Asks the kernel now, 1 to 2 us. Call it after a whole request was read and before anything is
  // done for it, and again before the answer is written when the handler waited in between. Ends
  // the process when the answer is not `same`.
  Liveness check();

  // check() plus the memory layout, 4 to 6 us more. For what is worth it: opening a session,
  // signing with a high-assurance key. The sweep does this too.
  Liveness check_thoroughly();

  // Empty while the process is `same` as far as we know; else why it ended.
  std::optional<Liveness> ended() const { return ended_; }

  // Ends it by our own decision (a finding on one connection may end all of them).
  void end(Liveness why);

  // `listener` runs when the process ends; at once, before this returns, if it has ended already.
  // A listener may drop its own or any other Listening and the last reference to the Process.
  [[nodiscard]] Listening on_end(EndListener listener);

  // For poll() or pidfd_send_signal(); stays owned by the Process.
  int pidfd() const;

  // For other threads: an own duplicate of the opened /proc/PID directory, which never names a
  // later process of the same pid.
  OwnedFd duplicate_directory() const;

 private:
  friend class Census;
  friend class ExecutableDigests;
  struct Opened;  // what Census hands over
  Process(Opened opened);
  bool has_exited() const;
  void watch_exit();

  ProcessFacts facts_;
  MemoryLayout layout_;
  OwnedFd directory_;  // /proc/PID
  OwnedFd maps_;
  OwnedFd stat_;
  std::unique_ptr<ExitWatch> watch_;
  std::vector<std::shared_ptr<EndListener>> listeners_;
  std::optional<Liveness> ended_;
  std::optional<Digest> digest_;
};

}  // namespace badged::peers
