#include "attest/locked_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <thread>

namespace badged::attest {

using Clock = std::chrono::steady_clock;

// How soon a lock is asked for again: a verification takes longer.
constexpr std::chrono::milliseconds kAskAgain{2};

static Error last_error() {
  return fail(Errc::unavailable, std::strerror(errno));
}

LockedFile::~LockedFile() {
  if (fd_ >= 0) close(fd_);
}

static Error busy() {
  return fail(Errc::busy, "another process keeps it locked",
              "try again later; `lslocks` names the process");
}

// flock itself waits without end or not at all.
static Result<void> lock(int fd, Clock::time_point until) {
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return last_error();
    if (Clock::now() >= until) return busy();
    std::this_thread::sleep_for(kAskAgain);  // check: allowed
  }
  return ok();
}

// Again when the file was replaced while we waited for the lock.
Result<LockedFile> LockedFile::open(const std::string& path, std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  for (;;) {
    LockedFile file(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (file.fd_ < 0) return last_error();
    struct stat ours {
    }, named{};
    if (fstat(file.fd_, &ours) != 0) return last_error();
    if (!S_ISREG(ours.st_mode) || ours.st_uid != geteuid() || (ours.st_mode & 022) != 0)
      return fail(Errc::unavailable, "not a regular file of ours that nobody else may write");
    if (auto locked = lock(file.fd_, until); !locked) return locked.error();
    if (lstat(path.c_str(), &named) == 0 && named.st_dev == ours.st_dev &&
        named.st_ino == ours.st_ino)
      return file;
    if (Clock::now() >= until) return busy();
  }
}

Result<std::string> LockedFile::read(std::size_t limit) const {
  struct stat facts {};
  if (fstat(fd_, &facts) != 0) return last_error();
  if (static_cast<std::size_t>(facts.st_size) > limit)
    return fail(Errc::malformed, "larger than allowed");
  std::string text(static_cast<std::size_t>(facts.st_size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = pread(fd_, text.data() + have, text.size() - have, static_cast<off_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error();
    if (n == 0) return fail(Errc::malformed, "it shrank while being read");
    have += static_cast<std::size_t>(n);
  }
  return text;
}

Rejection open_refused(const Error& error, Rejection unusable) {
  if (error.code != Errc::busy) return unusable;
  return reject(Reason::busy, std::move(unusable.what), error.hint);
}

}  // namespace badged::attest
