// What goes to the log line by line, and what is counted instead so that nobody fills the disk.
//
// One thread (the I/O thread) uses a Recorder. Equal denials and findings: the first is a line at
// once, the following ones become one line per uid, reason and minute with `count`. Cached tokens
// and proofs are one line per session and minute. A count that could not be written is counted on.
//
// The log answers what flush() wrote through its `Post`: those answers must not run after the
// Recorder has ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/audit/log.h"

namespace badged::audit {

class Recorder {
 public:
  using Clock = std::chrono::steady_clock;  // spans only; lines carry wall time

  explicit Recorder(Log& log) : log_(log) {}

  // Durable before `done` is called.
  void write(const Entry& entry, Durable done) { log_.append(entry, std::move(done)); }

  // Listed agents and admins have places that no stranger can take.
  enum class Who { stranger, listed };

  // True: a denial or finding like it was written within the window, so this one is counted and
  // needs no line. False: write it now. `reason` is one of our codes, never a caller's text.
  bool counts_as_repeat(std::uint32_t uid, const std::string& reason, Clock::time_point now,
                        Who who = Who::stranger);
  // The line of a first denial could not be written: it is counted instead, and told by the line of
  // its minute. Also for `count` of them.
  void not_written(std::uint32_t uid, const std::string& reason, Clock::time_point now,
                   std::int64_t count = 1, Who who = Who::stranger);

  // A line about what took effect and could not be written: kept, with the time that it has, and
  // written by flush() as soon as the log takes it. False: limits::kMaxOwed are kept already.
  bool owe(const Entry& entry);

  struct Use {
    std::string agent;
    std::int64_t cached_tokens = 0;
    std::int64_t proofs = 0;
  };
  // The counters of a session, to be raised by the caller. Valid until the next flush.
  Use& use(const std::string& session, const std::string& agent);

  // Writes what is owed and what was counted. Call each second, with `all` when a session or the
  // program ends.
  void flush(Clock::time_point now, bool all = false);

 private:
  struct Repeated {
    Clock::time_point since;
    std::int64_t count = 0;  // after the first
    Who who = Who::stranger;
  };
  using Key = std::pair<std::uint32_t, std::string>;
  Repeated* place_of(const Key& key, Clock::time_point now, Who who);
  void write_repeated(const Key& key, const Repeated& repeated);
  void write_overflow();
  void write_uses();
  void write_owed();

  Log& log_;
  std::map<Key, Repeated> repeated_;
  std::size_t listed_ = 0;  // how many of them are of listed agents
  std::unordered_map<std::string, Use> uses_;
  Clock::time_point uses_since_{};
  std::vector<Entry> owed_;    // oldest first
  std::int64_t overflow_ = 0;  // repeats that found no place of their own
};

}  // namespace badged::audit
