#include "daemon/audit/log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "daemon/audit/limits.h"
#include "daemon/audit/recover.h"

namespace badged::audit {
namespace {

using Clock = std::chrono::steady_clock;

Error system_error(const std::string& doing) {
  return fail(Errc::unavailable, doing + ": " + std::strerror(errno),
              "check room, owner and mode of the state directory");
}

Result<void> write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("write the audit log");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return ok();
}

Result<int> open_locked(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return system_error("open " + path);
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    ::close(file);
    return fail(Errc::unavailable, "lock " + path + ": another badged writes it",
                "stop the other badged, or give this one a state_dir of its own");
  }
  return file;
}

// The name must be on disk too, or a power cut loses the whole file.
void sync_directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const int directory = ::open(path.substr(0, slash == std::string::npos ? 0 : slash).c_str(),
                               O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  ::fsync(directory);
  ::close(directory);
}

// Keeps a damaged file as evidence, under a name that no earlier evidence has.
Result<std::string> move_aside(const std::string& path) {
  const auto stem = path + ".damaged-" + std::to_string(std::time(nullptr));
  auto aside = stem;
  for (int next = 2;; ++next) {
    const int rc = ::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, aside.c_str(), RENAME_NOREPLACE);
    if (rc == 0) return aside;
    if (errno != EEXIST) return system_error("move " + path + " aside");
    aside = stem + '-' + std::to_string(next);
  }
}

}  // namespace

Result<std::unique_ptr<Log>> Log::open(std::string path, StateDb& db, Post post,
                                       Recovery& recovery) {
  auto stored = db.audit_head();
  if (!stored) return stored.error();
  auto file = open_locked(path);
  if (!file) return file.error();
  auto found = read_chain(*file, *stored);
  if (!found) {
    ::close(*file);
    return found.error();
  }
  if (!found->damage.empty()) {
    const auto aside = move_aside(path);
    ::close(*file);
    if (!aside) return aside.error();
    recovery.findings.push_back(found->damage + "; the file was kept as " + *aside +
                                " and a new chain begins here");
    if (file = open_locked(path); !file) return file.error();
    found = FoundChain{};
  }
  if (found->torn_bytes > 0) {
    if (::ftruncate(*file, found->end.offset) != 0) {
      auto failure = system_error("cut the torn last line");
      ::close(*file);
      return failure;
    }
    recovery.findings.push_back(
        "the last line was torn by a crash: " + std::to_string(found->torn_bytes) +
        " bytes that nobody was told of were removed");
  }
  if (!*stored && found->end.link.seq > 0)
    recovery.findings.push_back(
        "state.db knows of no audit log, but one with " + std::to_string(found->end.link.seq) +
        " lines is there: state.db was removed or replaced, and whether the log's tail was cut "
        "cannot be known; the chain is continued");
  sync_directory_of(path);
  return std::unique_ptr<Log>(
      new Log(std::move(path), *file, found->end.offset, found->end.link, db, std::move(post)));
}

Log::Log(std::string path, int file, std::int64_t size, ChainLink head, StateDb& db, Post post)
    : path_(std::move(path)),
      file_(file),
      size_(size),
      db_(db),
      post_(std::move(post)),
      head_(head),
      thread_([this] { run(); }) {}

Log::~Log() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  ::close(file_);
}

void Log::append(const Entry& entry, Durable durable) {
  std::size_t waiting = 0;
  bool enough = false;
  {
    const std::lock_guard lock(mutex_);
    if (pending_.size() < limits::kMaxPending) {
      pending_.push_back({entry.members(), durable});
      waiting = pending_.size();
      enough = waiting == wanted_;
    }
  }
  if (waiting == 1 || enough) wake_.notify_one();
  if (waiting > 0) return;
  post_([durable = std::move(durable)] {
    durable(fail(Errc::busy, "write the audit log: too many entries wait for the disk"));
  });
}

ChainLink Log::head() const {
  const std::lock_guard lock(mutex_);
  return head_;
}

Result<void> Log::condition() const {
  const std::lock_guard lock(mutex_);
  return condition_;
}

// In a crowd, entries that are on their way share the next sync.
void Log::gather(std::unique_lock<std::mutex>& lock) {
  const auto begin = Clock::now();
  wake_.wait(lock, [this] { return stopping_ || !pending_.empty(); });
  const bool was_idle = Clock::now() - begin > limits::kGroupWait;
  if (was_idle || wanted_ < limits::kCrowd) return;
  wake_.wait_for(lock, limits::kGroupWait,
                 [this] { return stopping_ || pending_.size() >= wanted_; });
}

void Log::run() {
  for (;;) {
    std::vector<Pending> batch;
    {
      std::unique_lock lock(mutex_);
      gather(lock);
      if (pending_.empty()) return;
      batch.swap(pending_);
      wanted_ = std::min(batch.size(), limits::kGroup);
    }
    write_batch(std::move(batch));
  }
}

void Log::write_batch(std::vector<Pending> batch) {
  ChainLink link = head();
  std::string lines;
  for (const auto& pending : batch) append_line(pending.members, link, lines);
  const auto written = commit(lines);
  if (written) {
    // The log is durable whether or not its head could be stored; a stale head is only older.
    const auto stored = db_.set_audit_head({link, size_});
    const std::lock_guard lock(mutex_);
    head_ = link;
    condition_ = stored;
  } else {
    const std::lock_guard lock(mutex_);
    condition_ = written;
  }
  post_([batch = std::move(batch), written] {
    for (const auto& pending : batch)
      if (pending.durable) pending.durable(written);
  });
}

Result<void> Log::commit(const std::string& lines) {
  // What an earlier failure left behind: a line after it would stand in no chain.
  if (torn_ && ::ftruncate(file_, size_) != 0) return system_error("cut the audit log back");
  torn_ = false;
  auto written = write_all(file_, lines);
  if (written && ::fdatasync(file_) != 0) written = system_error("sync the audit log");
  if (written) {
    size_ += static_cast<std::int64_t>(lines.size());
    return ok();
  }
  // Nobody is told of these lines, so none may stay: a half-written one would break the chain.
  torn_ = ::ftruncate(file_, size_) != 0;
  if (torn_) return system_error("cut the audit log back");
  return written;
}

}  // namespace badged::audit
