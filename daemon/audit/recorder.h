// What goes to the log line by line, and what is counted instead so that nobody fills the disk.
//
// One thread (the I/O thread) uses a Recorder. Equal denials and findings: the first is a line at
// once, the following ones become one line per uid, reason and minute with `count`. Cached tokens
// and proofs are one line per session and minute.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "daemon/audit/log.h"

namespace badged::audit {

class Recorder {
 public:
  using Clock = std::chrono::steady_clock;  // spans only; lines carry wall time

  explicit Recorder(Log& log) : log_(log) {}

  // Durable before `done` is called.
  void write(const Entry& entry, Durable done) { log_.append(entry, std::move(done)); }

  // True: a denial or finding like it was written within the window, so this one is counted and
  // needs no line. False: write it now. `reason` is one of our codes, never a caller's text.
  bool counts_as_repeat(std::uint32_t uid, const std::string& reason, Clock::time_point now);

  struct Use {
    std::string agent;
    std::int64_t cached_tokens = 0;
    std::int64_t proofs = 0;
  };
  // The counters of a session, to be raised by the caller. Valid until the next flush.
  Use& use(const std::string& session, const std::string& agent);

  // Writes what was counted. Call each second, with `all` when a session or the program ends.
  void flush(Clock::time_point now, bool all = false);

 private:
  struct Repeated {
    Clock::time_point since;
    std::int64_t count = 0;  // after the first
  };
  using Key = std::pair<std::uint32_t, std::string>;
  void write_repeated(const Key& key, const Repeated& repeated);

  Log& log_;
  std::map<Key, Repeated> repeated_;
  std::unordered_map<std::string, Use> uses_;
  Clock::time_point uses_since_{};
  std::int64_t overflow_ = 0;  // repeats that found no place of their own
};

}  // namespace badged::audit
