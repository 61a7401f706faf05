// SHA-256 of the program that a process runs, computed off the I/O thread.
//
// Ask only for callers whose uid and unit already match a record that names a digest. Nothing of
// the file is read, not even its attributes from the file system's server, before its mount was
// found to be a local file system; then it must be a regular file of at most kMaxExecutable bytes,
// the one the process was admitted with, and unchanged while it was read.
//
// Answers are kept by device, inode and ctime (bounded); callers that ask for the same file at once
// share one reading; the queue and each wait are bounded. Belongs to the I/O thread.
#pragma once

#include <functional>
#include <memory>

#include "daemon/peers/limits.h"
#include "daemon/peers/process.h"
#include "daemon/peers/refusal.h"
#include "keystore/bytes.h"

namespace boost::asio {
class io_context;
}

namespace badged::peers {

struct DigestOptions {
  int workers = kHashWorkers;
  std::size_t max_queue = kMaxHashQueue;
  std::chrono::milliseconds deadline = kHashDeadline;
};

class ExecutableDigests {
 public:
  using Callback = std::function<void(PeerResult<Digest>)>;

  explicit ExecutableDigests(boost::asio::io_context& io, DigestOptions options = {});
  // Lets workers finish the block they read, then joins. Callbacks not yet called are dropped.
  ~ExecutableDigests();
  ExecutableDigests(const ExecutableDigests&) = delete;
  ExecutableDigests& operator=(const ExecutableDigests&) = delete;

  // Calls back exactly once, on the I/O thread; inline when the process remembers its digest or the
  // queue is full. Refusals: executable_*, busy, and those of Process::check().
  void digest(std::shared_ptr<Process> process, Callback callback);

  std::uint64_t files_read() const;  // how often a file was hashed, for tests and status

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace badged::peers
