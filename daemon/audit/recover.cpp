#include "daemon/audit/recover.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daemon/audit/limits.h"

namespace badged::audit {
namespace {

constexpr std::size_t kReadSize = 256 * 1024;

Result<std::string> read_at(int file, std::int64_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  const auto got = ::pread(file, bytes.data(), size, offset);
  if (got < 0)
    return fail(Errc::unavailable, std::string("read the audit log: ") + std::strerror(errno));
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

// The line that ends at the stored offset must be the stored head.
Result<bool> head_is_there(int file, const StoredHead& head) {
  const auto begin = std::max<std::int64_t>(0, head.offset - std::int64_t{limits::kMaxLine});
  auto bytes = read_at(file, begin, static_cast<std::size_t>(head.offset - begin));
  if (!bytes) return bytes.error();
  if (bytes->size() != static_cast<std::size_t>(head.offset - begin) || !bytes->ends_with('\n'))
    return false;
  bytes->pop_back();
  const auto newline = bytes->rfind('\n');
  const auto line = std::string_view(*bytes).substr(newline == std::string::npos ? 0 : newline + 1);
  const auto parts = split_line(line);
  if (!parts || parts->seq != head.link.seq || parts->hash != head.link.hash) return false;
  ChainLink before{parts->seq - 1, parts->prev};
  return follow_line(line, before).has_value();
}

// Follows whole lines in `text`; returns the bytes that were used.
Result<std::size_t> follow_lines(std::string_view text, ChainLink& link) {
  std::size_t used = 0;
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', used)) {
    if (auto line = follow_line(text.substr(used, end - used), link); !line) return line.error();
    used = end + 1;
  }
  return used;
}

}  // namespace

Result<FoundChain> read_chain(int file, const std::optional<StoredHead>& stored) {
  FoundChain found;
  if (stored) {
    const auto there = head_is_there(file, *stored);
    if (!there) return there.error();
    if (!*there) {
      found.damage = "the audit log does not hold the line with seq " +
                     std::to_string(stored->link.seq) +
                     " that was acknowledged: it was cut, edited or replaced";
      return found;
    }
    found.end = *stored;
  }
  std::string carry;
  for (;;) {
    const auto at = found.end.offset + static_cast<std::int64_t>(carry.size());
    auto chunk = read_at(file, at, kReadSize);
    if (!chunk) return chunk.error();
    if (chunk->empty()) break;
    carry += *chunk;
    const auto used = follow_lines(carry, found.end.link);
    if (!used) {
      found.damage = "the audit log is damaged: " + used.error().what;
      return found;
    }
    found.end.offset += static_cast<std::int64_t>(*used);
    carry.erase(0, *used);
    if (carry.size() > limits::kMaxLine) {
      found.damage = "the audit log is damaged: a line after seq " +
                     std::to_string(found.end.link.seq) + " is too long to be ours";
      return found;
    }
  }
  found.torn_bytes = static_cast<std::int64_t>(carry.size());
  return found;
}

}  // namespace badged::audit
