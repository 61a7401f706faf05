// The append-only audit file: an entry is acknowledged only once it is on disk.
//
// Group commit: one thread of the log's own writes everything that waits, syncs once, then says so
// to all; in a crowd it waits a moment for more (limits::kGroup). Entries get their place in the
// chain in the order of append().
//
// Failure: a write or sync that fails (disk full, read-only) is undone by cutting the file back to
// its last durable line; every entry of that batch is answered with Errc::unavailable and the next
// batch tries again, so issuance resumes by itself when there is room.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daemon/audit/line.h"
#include "daemon/audit/state_db.h"
#include "keystore/result.h"

namespace badged::audit {

using Durable = std::function<void(Result<void>)>;
// Runs a function on the thread that owns the program's state. Called from the log's thread.
using Post = std::function<void(std::function<void()>)>;

// What opening found that a person must know; the daemon records each as a finding.
struct Recovery {
  std::vector<std::string> findings;
};

class Log {
 public:
  // Opens or creates `path` (0600, one writer: locked), drops a torn last line (it was never
  // acknowledged), and checks the rest against `db`'s head. A log that was edited or cut is moved
  // aside as evidence, named in `recovery`, and a new chain begins.
  static Result<std::unique_ptr<Log>> open(std::string path, StateDb& db, Post post,
                                           Recovery& recovery);
  ~Log();  // writes what waits, answers it, joins

  // From any thread. `durable` runs through `post`; with Errc::busy at once when too much waits.
  void append(const Entry& entry, Durable durable);

  ChainLink head() const;          // the last durable line
  Result<void> condition() const;  // of the last batch
  const std::string& path() const { return path_; }

 private:
  struct Pending {
    std::string members;
    Durable durable;
  };
  Log(std::string path, int file, std::int64_t size, ChainLink head, StateDb& db, Post post);
  void run();
  void gather(std::unique_lock<std::mutex>& lock);
  void write_batch(std::vector<Pending> batch);
  Result<void> commit(const std::string& lines);

  const std::string path_;
  const int file_;
  std::int64_t size_;  // of the durable part; the log's thread only
  bool torn_ = false;  // bytes after it could not be cut off yet; the log's thread only
  StateDb& db_;
  const Post post_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Pending> pending_;
  std::size_t wanted_ = 1;  // entries that a sync waits for in a crowd: those of the one before
  ChainLink head_;
  Result<void> condition_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when all else stands
};

}  // namespace badged::audit
