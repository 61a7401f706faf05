// Reading files that decide who may do what: only ones that root or this process's user could have
// written.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "daemon/peers/peer.h"
#include "keystore/result.h"

namespace badged::agents {

peers::FileId file_id(const struct stat& facts);

// The whole of a regular file that is no link, owned by root or this user, not writable by group or
// others. `at`: an open directory or AT_FDCWD. Never blocks on a fifo or device. Errors name what
// is wrong, not the path: the caller's diagnostic has it.
Result<std::string> read_guarded_file(int at, const std::string& path, std::size_t max_bytes);

// An open directory that passed the same check. Move-only.
class GuardedDirectory {
 public:
  static Result<GuardedDirectory> open(const std::string& path);
  GuardedDirectory(GuardedDirectory&& other) noexcept;
  GuardedDirectory& operator=(GuardedDirectory&&) = delete;
  ~GuardedDirectory();

  // Sorted, without "." and "..". Errc::exhausted for more than `max_count`.
  Result<std::vector<std::string>> names(std::size_t max_count) const;
  Result<std::string> read(const std::string& name, std::size_t max_bytes) const {
    return read_guarded_file(fd_, name, max_bytes);
  }

 private:
  explicit GuardedDirectory(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace badged::agents
