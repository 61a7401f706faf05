#include "daemon/audit/verify.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <sstream>

#include "attest/jose/jws.h"
#include "attest/json/strict.h"
#include "daemon/audit/checkpoint.h"
#include "daemon/audit/limits.h"
#include "daemon/audit/state_db.h"

namespace badged::audit {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxJwksFile = 64 * 1024;
constexpr std::string_view kCheckpointMark = R"(,"kind":"checkpoint",)";

// A line without its newline; false at the end. A line that is too long ends the reading as damage.
enum class Next { line, end, torn, too_long };
Next next_line(std::istream& in, std::string& line) {
  line.clear();
  char c = 0;
  while (in.get(c)) {
    if (c == '\n') return Next::line;
    line += c;
    if (line.size() > limits::kMaxLine) return Next::too_long;
  }
  return line.empty() ? Next::end : Next::torn;
}

std::optional<attest::Jwks> load_keys(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(kMaxJwksFile, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  auto keys = attest::Jwks::parse(text);
  if (!keys) return std::nullopt;
  return std::move(*keys);
}

class Verification {
 public:
  explicit Verification(std::optional<attest::Jwks> keys) : keys_(std::move(keys)) {}

  // False at the first break.
  bool follow(const std::string& line) {
    if (auto good = follow_line(line, verdict.head); !good) return broken(good.error().what);
    ++verdict.lines;
    recent_.push_back(verdict.head);
    if (recent_.size() > limits::kCheckpointReach) recent_.pop_front();
    if (head && verdict.head.seq == head->link.seq) {
      head_seen_ = true;
      if (verdict.head.hash != head->link.hash)
        return broken("line with seq " + std::to_string(head->link.seq) +
                      " is not the one that was acknowledged: the file was rewritten");
    }
    if (line.find(kCheckpointMark) != std::string::npos) return checkpoint(line);
    return true;
  }

  bool broken(std::string why) {
    if (verdict.problem.empty()) verdict.problem = std::move(why);
    return false;
  }

  void finish(bool torn, bool complete) {
    if (head && complete && !head_seen_ && head->link.seq > 0)
      broken("the tail was cut: the last acknowledged line has seq " +
             std::to_string(head->link.seq) + ", the file ends at " +
             std::to_string(verdict.head.seq));
    // While badged runs, a line may be half written at the moment of reading.
    if (torn && !head) broken("the last line is torn");
    if (!head) verdict.not_checked.push_back("tail");
    // A copy in which no signature was met could have been made anew from its first line.
    if (unsigned_ || (!head && verdict.checkpoints == 0))
      verdict.not_checked.push_back("checkpoint signatures");
    verdict.intact = verdict.problem.empty();
  }

  bool head_seen() const { return head_seen_; }

  Verdict verdict;
  std::optional<StoredHead> head;  // of a live file

 private:
  bool checkpoint(const std::string& line) {
    if (!keys_) {
      unsigned_ = true;
      return true;
    }
    const auto good = check_checkpoint(
        line, [this](std::uint64_t seq) { return hash_of(seq); }, *keys_);
    if (!good && good.error().code == Errc::not_found) {
      unsigned_ = true;  // a key that has left the JWKS since
      return true;
    }
    if (!good) return broken(good.error().what);
    ++verdict.checkpoints;
    return true;
  }

  std::optional<Digest> hash_of(std::uint64_t seq) const {
    if (recent_.empty() || seq < recent_.front().seq || seq > recent_.back().seq)
      return std::nullopt;
    return recent_[seq - recent_.front().seq].hash;
  }

  std::optional<attest::Jwks> keys_;
  std::deque<ChainLink> recent_;
  bool head_seen_ = false;
  bool unsigned_ = false;
};

Result<std::optional<StoredHead>> live_head(const fs::path& path) {
  const auto db_path = path.parent_path() / "state.db";
  if (path.filename() != "audit.jsonl" || !fs::exists(db_path)) return std::optional<StoredHead>{};
  const auto db = StateDb::open_read_only(db_path.string());
  if (!db) return db.error();
  return (*db)->audit_head();
}

// None where no file is named.
Result<std::optional<attest::Jwks>> given_keys(const std::string& jwks_file) {
  if (jwks_file.empty()) return std::optional<attest::Jwks>{};
  auto keys = load_keys(jwks_file);
  if (!keys)
    return fail(Errc::unavailable, "read " + jwks_file + ": it is no JWKS that can be read",
                "give the jwks.json that this badged published");
  return keys;
}

// To its end, or to its live head and no further.
enum class Until { end, head };
Result<Verdict> verify_lines(std::istream& in, std::optional<attest::Jwks> keys,
                             const std::optional<StoredHead>& head, Until until = Until::end,
                             const std::stop_token& stop = {}) {
  Verification verification(std::move(keys));
  verification.head = head;
  std::string line;
  auto next = next_line(in, line);
  bool unbroken = true;
  while (unbroken && next == Next::line) {
    unbroken = verification.follow(line);
    if (stop.stop_requested()) return fail(Errc::unavailable, "read the log: it was stopped");
    if (until == Until::head && verification.head_seen()) break;
    if (unbroken) next = next_line(in, line);
  }
  if (next == Next::too_long) unbroken = verification.broken("a line is too long to be ours");
  verification.finish(next == Next::torn, unbroken);
  return verification.verdict;
}

// "time":"…" of a line as seconds since 1970; lines are in the order of time but for clock steps.
std::optional<std::int64_t> time_of(std::string_view line) {
  constexpr std::string_view mark = R"("time":")";
  const auto at = line.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  std::istringstream text(std::string(line.substr(at + mark.size(), 19)));
  std::tm utc{};
  text >> std::get_time(&utc, "%Y-%m-%dT%H:%M:%S");
  if (text.fail()) return std::nullopt;
  return std::int64_t{::timegm(&utc)};
}

}  // namespace

Result<Verdict> verify_written(const std::string& path, const ChainLink& head,
                               const std::stop_token& stop) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Errc::unavailable, "read " + path + ": it cannot be opened");
  auto keys = load_keys(fs::path(path).parent_path() / "publish/jwks.json");
  return verify_lines(in, std::move(keys), StoredHead{head, 0}, Until::head, stop);
}

Result<Verdict> verify_file(const std::string& path, const std::string& jwks_file) {
  // The head first: what is acknowledged while the file is read only makes the file longer.
  const auto head = live_head(fs::absolute(path));
  if (!head) return head.error();
  std::error_code ignored;
  if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored))
    return fail(Errc::malformed, "read " + path + ": it is no regular file",
                "give the path of a log; - is standard input");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return fail(Errc::unavailable,
                "read " + path + ": " + (errno ? std::strerror(errno) : "it cannot be opened"),
                "run as root, or give the path of a copy");
  const auto beside = fs::absolute(path).parent_path() / "publish/jwks.json";
  auto keys = given_keys(jwks_file);
  if (!keys) return keys.error();
  if (jwks_file.empty() && *head) *keys = load_keys(beside);
  return verify_lines(in, std::move(*keys), *head);
}

Result<Verdict> verify_stream(std::istream& in, const std::string& jwks_file) {
  auto keys = given_keys(jwks_file);
  if (!keys) return keys.error();
  return verify_lines(in, std::move(*keys), std::nullopt);
}

Result<std::vector<std::string>> tail(const std::string& path, std::int64_t since_unix,
                                      std::size_t limit) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return fail(Errc::unavailable, "read " + path + ": it cannot be opened");
  const auto size = static_cast<std::int64_t>(in.tellg());
  const auto begin = std::max<std::int64_t>(0, size - std::int64_t{limits::kMaxTailBytes});
  in.seekg(begin);
  std::string line;
  if (begin > 0) next_line(in, line);  // the rest of a line that began before
  std::vector<std::string> lines;
  while (next_line(in, line) == Next::line)
    if (time_of(line).value_or(since_unix) >= since_unix) lines.push_back(line);
  const auto most = std::min(limit, limits::kMaxTailLines);
  if (lines.size() > most)
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(most));
  return lines;
}

}  // namespace badged::audit
