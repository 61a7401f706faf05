// Checks an audit file without a daemon: `badgectl audit verify`.
//
// A file with a `state.db` beside it is live: its end must be at least the stored head. A copy that
// was archived elsewhere is checked by itself, and what cannot be known of it (its tail) is named.
#pragma once

#include <istream>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/audit/line.h"

namespace badged::audit {

struct Verdict {
  bool intact = false;
  std::uint64_t lines = 0;
  ChainLink head;                        // of the last good line
  std::uint64_t checkpoints = 0;         // signed heads that verified
  std::string problem;                   // the first break: which line, what is wrong with it
  std::vector<std::string> not_checked;  // "tail", "checkpoint signatures"
};

// Errc::unavailable when a file cannot be opened, Errc::malformed when it is a directory or a
// device; a broken chain is a Verdict. `jwks_file` holds the keys that signed the checkpoints;
// empty: `publish/jwks.json` beside a live file, else not checked.
Result<Verdict> verify_file(const std::string& path, const std::string& jwks_file = {});

// Up to `head`, the last durable line of a log that this program is writing; its signed heads by
// `publish/jwks.json` beside it. Errc::unavailable, too, where `stop` is asked for meanwhile.
Result<Verdict> verify_written(const std::string& path, const ChainLink& head,
                               const std::stop_token& stop);

// The same of a stream that is read to its end, as a copy that was archived elsewhere.
Result<Verdict> verify_stream(std::istream& in, const std::string& jwks_file = {});

// The lines since `since_unix` (0: all), newest last, at most `limit` and limits::kMaxTailBytes.
Result<std::vector<std::string>> tail(const std::string& path, std::int64_t since_unix,
                                      std::size_t limit);

}  // namespace badged::audit
