#include "daemon/audit/line.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>

#include "attest/json/strict.h"
#include "daemon/audit/limits.h"
#include "keystore/sha256.h"

namespace badged::audit {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kPrevHead = R"({"prev":")";
constexpr std::string_view kSeqHead = R"(","seq":)";
constexpr std::string_view kHashHead = R"(,"hash":")";
constexpr std::string_view kHashTail = "\"}";
constexpr std::size_t kHexDigest = 64;

// Paths are bytes, not text: every byte that is not ASCII is written as itself, so that a line is
// always valid JSON and no two paths look alike.
void append_escaped(std::string& out, std::string_view value) {
  std::size_t done = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    const auto byte = static_cast<unsigned char>(c);
    const bool is_ascii = byte >= 0x20 && byte < 0x7f;
    if (is_ascii && c != '"' && c != '\\') continue;
    out.append(value, done, i - done);
    done = i + 1;
    if (is_ascii)
      out.append(1, '\\').append(1, c);
    else
      out.append("\\u00").append(1, kHexDigits[byte >> 4]).append(1, kHexDigits[byte & 15]);
  }
  out.append(value, done);
}

int hex_value(char c) {
  const auto at = kHexDigits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

bool parse_digest(std::string_view hex, Digest& out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

void append_hex(std::string& out, ByteView bytes) {
  for (const auto byte : bytes) {
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
  }
}

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string to_hex(ByteView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  append_hex(out, bytes);
  return out;
}

std::string format_time(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const auto length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::string out(text, length);
  const auto ms = static_cast<int>(unix_ms % 1000);
  out += '.';
  out += static_cast<char>('0' + ms / 100);
  out += static_cast<char>('0' + ms / 10 % 10);
  out += static_cast<char>('0' + ms % 10);
  out += 'Z';
  return out;
}

Entry::Entry(std::string_view kind) {
  members_.reserve(640);  // of a token: 500 to 600
  members_ = "\"time\":\"" + format_time(now_ms()) + '"';
  text("kind", kind);
}

Entry& Entry::text(std::string_view name, std::string_view value) {
  members_ += ",\"";
  members_ += name;
  members_ += "\":\"";
  append_escaped(members_, value.substr(0, limits::kMaxTextMember));
  members_ += '"';
  return *this;
}

Entry& Entry::utf8(std::string_view name, std::string_view value) {
  auto length = std::min(value.size(), limits::kMaxTextMember);
  const auto continues = [&] { return (static_cast<unsigned char>(value[length]) & 0xC0) == 0x80; };
  while (length > 0 && length < value.size() && continues()) --length;
  members_ += ",\"";
  members_ += name;
  members_ += "\":";
  attest::append_json_string(members_, value.substr(0, length));
  return *this;
}

Entry& Entry::number(std::string_view name, std::int64_t value) {
  members_ += ",\"";
  members_ += name;
  members_ += "\":";
  members_ += std::to_string(value);
  return *this;
}

void append_line(std::string_view members, ChainLink& link, std::string& out) {
  const auto start = out.size();
  out += kPrevHead;
  append_hex(out, link.hash);
  out += kSeqHead;
  out += std::to_string(++link.seq);
  out += ',';
  out += members;
  link.hash = keystore::sha256(as_bytes(std::string_view(out).substr(start)));
  out += kHashHead;
  append_hex(out, link.hash);
  out += kHashTail;
  out += '\n';
}

Result<LineParts> split_line(std::string_view line) {
  const auto malformed = [](const char* why) {
    return fail(Errc::malformed, std::string("read an audit line: ") + why);
  };
  constexpr auto kTailSize = kHashHead.size() + kHexDigest + kHashTail.size();
  if (line.size() < kPrevHead.size() + kHexDigest + kSeqHead.size() + kTailSize)
    return malformed("it is too short");
  LineParts parts;
  if (!line.starts_with(kPrevHead) || !parse_digest(line.substr(kPrevHead.size()), parts.prev))
    return malformed("it does not begin with \"prev\" and 64 hex digits");
  auto rest = line.substr(kPrevHead.size() + kHexDigest);
  if (!rest.starts_with(kSeqHead)) return malformed("\"seq\" does not follow \"prev\"");
  rest.remove_prefix(kSeqHead.size());
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), parts.seq);
  if (error != std::errc{} || *end != ',') return malformed("\"seq\" is not a number");
  const auto tail = line.substr(line.size() - kTailSize);
  if (!tail.starts_with(kHashHead) || !tail.ends_with(kHashTail) ||
      !parse_digest(tail.substr(kHashHead.size()), parts.hash))
    return malformed("it does not end with \"hash\" and 64 hex digits");
  parts.hashed = line.substr(0, line.size() - kTailSize);
  return parts;
}

Result<void> follow_line(std::string_view line, ChainLink& link) {
  const auto parts = split_line(line);
  if (!parts) return parts.error();
  const auto at = "line with seq " + std::to_string(parts->seq);
  if (keystore::sha256(as_bytes(parts->hashed)) != parts->hash)
    return fail(Errc::refused, at + " was edited: its hash does not match its bytes");
  if (parts->seq != link.seq + 1)
    return fail(Errc::refused, "a line was dropped or moved: seq " + std::to_string(link.seq + 1) +
                                   " expected, " + std::to_string(parts->seq) + " found");
  if (parts->prev != link.hash)
    return fail(Errc::refused, at + " does not continue the line before it: \"prev\" differs");
  link = {parts->seq, parts->hash};
  return ok();
}

}  // namespace badged::audit
