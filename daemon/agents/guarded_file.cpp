#include "daemon/agents/guarded_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace badged::agents {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Error failed(const char* doing, int error, std::string hint = {}) {
  return fail(error == ENOENT ? Errc::not_found : Errc::unavailable,
              std::string(doing) + ": " + std::generic_category().message(error), std::move(hint));
}

Result<void> check_owner_and_mode(const struct stat& facts) {
  if (facts.st_uid != 0 && facts.st_uid != ::geteuid()) {
    return fail(Errc::refused, "owned by uid " + std::to_string(facts.st_uid),
                "only root or badged's own user may say who an agent is: chown root");
  }
  if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(Errc::refused, "writable by its group or by others",
                "only its owner may change it: chmod go-w");
  }
  return ok();
}

}  // namespace

peers::FileId file_id(const struct stat& facts) {
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  return {facts.st_dev, facts.st_ino, facts.st_ctim.tv_sec * kNanoseconds + facts.st_ctim.tv_nsec};
}

Result<std::string> read_guarded_file(int at, const std::string& path, std::size_t max_bytes) {
  const Descriptor file(
      ::openat(at, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (file.get() < 0 && errno == ELOOP) {
    return fail(Errc::refused, "a symbolic link",
                "put the file itself here: who may change the target could change the rules");
  }
  if (file.get() < 0) return failed("open the file", errno);
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return failed("look at the file", errno);
  if (!S_ISREG(facts.st_mode)) return fail(Errc::refused, "no regular file");
  if (auto good = check_owner_and_mode(facts); !good) return good.error();

  std::string text(max_bytes + 1, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read the file", errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  if (have > max_bytes) {
    return fail(Errc::exhausted, "larger than " + std::to_string(max_bytes) + " bytes",
                "is it the right file?");
  }
  text.resize(have);
  return text;
}

Result<GuardedDirectory> GuardedDirectory::open(const std::string& path) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) {
    return failed("open the directory", errno, "make it, or name the right one");
  }
  struct stat facts {};
  if (::fstat(directory.get(), &facts) != 0) return failed("look at the directory", errno);
  if (auto good = check_owner_and_mode(facts); !good) return good.error();
  return GuardedDirectory(directory.release());
}

GuardedDirectory::GuardedDirectory(GuardedDirectory&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

GuardedDirectory::~GuardedDirectory() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::vector<std::string>> GuardedDirectory::names(std::size_t max_count) const {
  Descriptor copy(::openat(fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (copy.get() < 0) return failed("list the directory", errno);
  struct Close {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  const std::unique_ptr<DIR, Close> stream(::fdopendir(copy.get()));
  if (!stream) return failed("list the directory", errno);
  copy.release();  // closedir closes it

  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    if (names.size() > max_count) {
      return fail(Errc::exhausted, "more than " + std::to_string(max_count) + " files",
                  "keep records alone in this directory");
    }
    errno = 0;
  }
  if (errno != 0) return failed("list the directory", errno);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace badged::agents
