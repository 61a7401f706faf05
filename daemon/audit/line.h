// One line of the audit log: a JSON object whose bytes are what is hashed.
//
//   {"prev":"<64 hex>","seq":N,"time":"…","kind":"…", … ,"hash":"<64 hex>"}
//
// `hash` is SHA-256 over the exact bytes before `,"hash"`; `prev` is the hash of the line before,
// or 64 zeros in the first line of a file. A reader needs no JSON canonicalisation to verify a
// chain.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "keystore/bytes.h"
#include "keystore/result.h"

namespace badged::audit {

// What happened, as members from `time` on. Values are escaped here; names are literals of ours. A
// value is cut after limits::kMaxTextMember bytes.
class Entry {
 public:
  // `kind`: token, denial, proof-refused, reload, finding, use, checkpoint, start, stop.
  explicit Entry(std::string_view kind);

  // Bytes, as paths are: each that is not printable ASCII as \u00HH, so no two look alike.
  Entry& text(std::string_view name, std::string_view value);
  // Names that came as strings of JSON, thus UTF-8: written as they are, so that who looks for a
  // person finds the line.
  Entry& utf8(std::string_view name, std::string_view value);
  Entry& number(std::string_view name, std::int64_t value);

  const std::string& members() const { return members_; }

 private:
  std::string members_;  // `"time":"…","kind":"…",…` without braces
};

// RFC 3339, UTC, milliseconds: "2026-01-31T23:59:59.123Z". `unix_ms` counts from 1970.
std::string format_time(std::int64_t unix_ms);

struct ChainLink {
  std::uint64_t seq = 0;  // of the last line; 0: no line yet
  Digest hash{};          // of the last line; zeros: no line yet
  bool operator==(const ChainLink&) const = default;
};

// Appends the finished line (with '\n') to `out` and moves `link` on to it.
void append_line(std::string_view members, ChainLink& link, std::string& out);

// Checks one line (without '\n') against the link before it and moves the link on. The error says
// which of edited, dropped, reordered or malformed it is.
Result<void> follow_line(std::string_view line, ChainLink& link);

// The chain's own members of a line, taken from their fixed places. Errc::malformed otherwise.
struct LineParts {
  Digest prev{};
  std::uint64_t seq = 0;
  Digest hash{};            // as written
  std::string_view hashed;  // the bytes that the hash covers, a view into the line
};
Result<LineParts> split_line(std::string_view line);

std::string to_hex(ByteView bytes);

}  // namespace badged::audit
