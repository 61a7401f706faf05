#include "daemon/tokens/issued_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <optional>

#include "attest/jose/base64url.h"
#include "attest/json/strict.h"
#include "daemon/agents/limits.h"
#include "daemon/audit/limits.h"
#include "daemon/audit/line.h"
#include "daemon/peers/owned_fd.h"

namespace badged::tokens {
namespace {

constexpr std::size_t kChunk = 1024 * 1024;
static_assert(kChunk > audit::limits::kMaxLine);

// The text after `,"NAME":`. Values are escaped, so these bytes stand in no value.
std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  std::string mark = ",\"";
  mark.append(name).append("\":");
  const auto at = line.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  return line.substr(at + mark.size());
}

std::optional<std::int64_t> number_of(std::string_view line, std::string_view name) {
  const auto value = value_of(line, name);
  std::int64_t number = 0;
  if (!value) return std::nullopt;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  return number;
}

std::string text_of(std::string_view line, std::string_view name) {
  const auto value = value_of(line, name);
  if (!value || !value->starts_with('"')) return {};
  std::size_t end = 1;
  while (end < value->size() && (*value)[end] != '"') end += (*value)[end] == '\\' ? 2 : 1;
  const auto quoted = value->substr(0, end + 1);
  if (quoted.find('\\') == std::string_view::npos) return std::string(quoted.substr(1, end - 1));
  const auto parsed = attest::parse_strict(quoted);
  return parsed && parsed->is_string() ? std::string(parsed->get_string()) : std::string();
}

// Of a line: RFC 3339 in UTC with a fixed width.
std::optional<std::int64_t> time_of(const std::string& text) {
  std::tm fields{};
  if (::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &fields) == nullptr) return std::nullopt;
  return ::timegm(&fields);
}

// Which part of the log is of use.
struct Span {
  std::int64_t as_of;  // who had expired by then is passed over
  std::string oldest;  // when a token was made at the earliest that had not, as lines have it
};

Span span_as_of(std::int64_t as_of) {
  const auto earliest = as_of - (limits::kRetireLeeway + agents::kMaxDuration).count();
  return {as_of, audit::format_time(earliest * 1000)};
}

// The newest token was made when it says, and that is the past, wherever the clock is now.
Span span_from(const std::string& newest, std::int64_t now) {
  const auto made = time_of(newest).value_or(now);
  return span_as_of(std::clamp(made, now - limits::kClockAhead.count(), now));
}

void read_token(std::string_view line, std::int64_t as_of,
                const std::function<void(const IssuedLine&)>& visit) {
  const auto expires_at = number_of(line, "exp");
  const auto index = number_of(line, "status_idx");
  if (!expires_at || *expires_at <= as_of - limits::kRetireLeeway.count() || !index) return;
  if (*index >= std::int64_t{limits::kStatusBlock} * limits::kStatusBlocks) return;
  IssuedLine issued;
  if (!attest::decode_base64url(text_of(line, "jti"), issued.jti)) return;
  issued.as_of = as_of;
  issued.expires_at = *expires_at;
  issued.status_index = static_cast<std::uint32_t>(*index);
  issued.authority = {text_of(line, "agent"), text_of(line, "session"), text_of(line, "audience"),
                      text_of(line, "scope"), text_of(line, "details_types")};
  visit(issued);
}

// Lines of `text` from its end to its beginning. False: a token's is too old, so all before it are.
// Other kinds say nothing: they are written also while a clock that is behind pauses issuance.
// `span` is that of the first token that is met.
bool read_backwards(std::string_view text, std::int64_t now, std::optional<Span>& span,
                    const std::function<void(const IssuedLine&)>& visit) {
  while (!text.empty()) {
    text.remove_suffix(text.ends_with('\n') ? 1 : 0);
    const auto before = text.rfind('\n');
    const auto begin = before == std::string_view::npos ? 0 : before + 1;
    const auto line = text.substr(begin);
    text = text.substr(0, begin);
    const auto kind = value_of(line, "kind");
    if (!kind || !kind->starts_with("\"token\"")) continue;
    const auto time = text_of(line, "time");
    if (!span) span = span_from(time, now);
    // Of a fixed width: text in the order of time.
    if (time.size() == span->oldest.size() && time < span->oldest) return false;
    read_token(line, span->as_of, visit);
  }
  return true;
}

}  // namespace

Result<void> read_issued(const std::string& path, std::int64_t now,
                         const std::function<void(const IssuedLine&)>& visit) {
  const auto failed = [&] {
    return fail(Errc::unavailable, "read " + path + ": " + std::strerror(errno));
  };
  const peers::OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat facts {};
  if (!file || ::fstat(file.get(), &facts) != 0) return failed();
  std::optional<Span> span;
  std::string text;  // what follows the part of the file that is yet to be read
  for (auto end = facts.st_size; end > 0;) {
    const auto size = static_cast<std::size_t>(std::min<off_t>(end, kChunk));
    end -= static_cast<off_t>(size);
    std::string chunk(size, '\0');
    const auto got = ::pread(file.get(), chunk.data(), size, end);
    if (got < 0) return failed();
    chunk.resize(static_cast<std::size_t>(got));
    text.insert(0, chunk);
    // The first line may have begun in the chunk before.
    const auto first = end == 0 ? 0 : text.find('\n') + 1;
    if (!read_backwards(std::string_view(text).substr(first), now, span, visit)) return ok();
    text.resize(first);
  }
  return ok();
}

}  // namespace badged::tokens
