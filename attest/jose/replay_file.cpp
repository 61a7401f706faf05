// The file: a line "badged-replay 1 FORGOTTEN", then per proof "UNTIL SHA256", all of fixed width
// so that a line torn by a crash is recognised. A torn line was never acknowledged, and is
// overwritten.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include "attest/jose/replay_entry.h"
#include "attest/locked_file.h"
#include "keystore/files.h"

namespace badged::attest {

namespace {

constexpr std::string_view kMagic = "badged-replay 1 ";
constexpr std::size_t kTimeDigits = 12;
constexpr std::size_t kHeader = kMagic.size() + kTimeDigits + 1;
constexpr std::size_t kLine = kTimeDigits + 1 + 64 + 1;

struct Content {
  std::int64_t forgotten = 0;
  std::vector<ReplayEntry> entries;
};

Rejection broken(const std::string& path, std::string_view why) {
  return reject(Reason::replay_broken,
                std::string("use the replay file ").append(path).append(": ").append(why),
                "name a file of your own in a directory of your own, or a new one");
}

Rejection broken_errno(const std::string& path) {
  return broken(path, std::strerror(errno));
}

void append_time(std::string& out, std::int64_t time) {
  const std::string digits = std::to_string(time);
  out.append(kTimeDigits - digits.size(), '0').append(digits);
}

std::string header_text(std::int64_t forgotten) {
  std::string out(kMagic);
  append_time(out, forgotten);
  return out += '\n';
}

void append_line(std::string& out, const ReplayEntry& entry) {
  constexpr char kHex[] = "0123456789abcdef";
  append_time(out, entry.until);
  out += ' ';
  for (const std::uint8_t byte : entry.key) out.append({kHex[byte >> 4], kHex[byte & 15]});
  out += '\n';
}

template <class Number>
bool read_number(std::string_view text, Number& out, int base) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return ec == std::errc() && end == text.data() + text.size() && out >= 0;
}

std::optional<ReplayEntry> read_line(std::string_view line) {
  ReplayEntry entry;
  if (line[kTimeDigits] != ' ' || line.back() != '\n') return std::nullopt;
  if (!read_number(line.substr(0, kTimeDigits), entry.until, 10)) return std::nullopt;
  for (std::size_t i = 0; i < entry.key.size(); ++i)
    if (!read_number(line.substr(kTimeDigits + 1 + 2 * i, 2), entry.key[i], 16))
      return std::nullopt;
  return entry;
}

// nullopt: damaged. An empty file, or the beginning of a first header, is a new one.
std::optional<Content> read_content(std::string_view text) {
  Content content;
  if (text.size() < kHeader)
    return header_text(0).starts_with(text) ? std::optional(content) : std::nullopt;
  if (!text.starts_with(kMagic) || text[kHeader - 1] != '\n' ||
      !read_number(text.substr(kMagic.size(), kTimeDigits), content.forgotten, 10))
    return std::nullopt;
  text.remove_prefix(kHeader);
  for (; text.size() >= kLine; text.remove_prefix(kLine)) {
    auto entry = read_line(text.substr(0, kLine));
    if (!entry) return std::nullopt;
    content.entries.push_back(*entry);
  }
  return content;
}

Checked<LockedFile> open_locked(const std::string& path) {
  auto file = LockedFile::open(path);
  if (!file) return open_refused(file.error(), broken(path, file.error().what));
  return std::move(*file);
}

Checked<void> write_durably(int fd, const std::string& path, std::string_view text,
                            std::size_t at) {
  while (!text.empty()) {
    const ssize_t n = pwrite(fd, text.data(), text.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return broken_errno(path);
    text.remove_prefix(static_cast<std::size_t>(n));
    at += static_cast<std::size_t>(n);
  }
  if (fdatasync(fd) != 0) return broken_errno(path);
  return {};
}

// Writes only what may still be replayed, and the new proof, in place of the file.
Checked<void> compact(const std::string& path, Content content, const ReplayEntry& entry,
                      std::size_t capacity, std::int64_t now) {
  std::string lines;
  std::size_t kept = 0;
  for (const auto& old : content.entries) {
    if (old.until > now) {
      append_line(lines, old);
      ++kept;
    } else {
      content.forgotten = std::max(content.forgotten, old.until);
    }
  }
  if (kept >= capacity) return no_room();
  append_line(lines, entry);
  const std::string text = header_text(content.forgotten) + lines;
  auto written = keystore::write_private_file(path, as_bytes(text));
  if (!written) return broken(path, written.error().what);
  return {};
}

}  // namespace

ReplayFile::ReplayFile(std::string path, std::size_t entries)
    : path_(std::move(path)), entries_(entries) {}

Checked<void> ReplayFile::remember(const SeenProof& proof, std::int64_t now) {
  auto file = open_locked(path_);
  if (!file) return file.error();
  auto text = file->read(kHeader + (entries_ + 1) * kLine);
  if (!text) return broken(path_, text.error().what);
  auto content = read_content(*text);
  if (!content) return broken(path_, "not a replay file of this version, or damaged");
  const ReplayEntry entry = replay_entry(proof);
  const auto same = [&](const ReplayEntry& old) { return old.key == entry.key; };
  if (proof.until <= content->forgotten ||
      std::any_of(content->entries.begin(), content->entries.end(), same))
    return seen_before();
  const std::size_t count = content->entries.size();
  if (count >= entries_) return compact(path_, std::move(*content), entry, entries_, now);
  std::string added = text->size() < kHeader ? header_text(0) : std::string();
  append_line(added, entry);
  const std::size_t at = text->size() < kHeader ? 0 : kHeader + count * kLine;
  return write_durably(file->fd(), path_, added, at);
}

}  // namespace badged::attest
