// A small file that several processes read, change and replace, one at a time.
#pragma once

#include <string>
#include <utility>

#include "attest/limits.h"
#include "attest/reason.h"
#include "keystore/result.h"

namespace badged::attest {

// Open, and locked (flock, exclusive) as long as this lives. Made empty where it was not there.
// Replacing the file by name (keystore::write_private_file) while holding the lock is safe: whoever
// waited then opens the new one. Move-only.
class LockedFile {
 public:
  // Refused: links, other people's files, files that others may write. Waits for the lock, at most
  // `patience`, then Errc::busy.
  static Result<LockedFile> open(const std::string& path,
                                 std::chrono::milliseconds patience = kLockPatience);
  LockedFile(LockedFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  LockedFile& operator=(LockedFile&&) = delete;
  ~LockedFile();

  int fd() const { return fd_; }
  Result<std::string> read(std::size_t limit) const;

 private:
  explicit LockedFile(int fd) : fd_(fd) {}
  int fd_;
};

// What open() said, as a verdict: `unusable`, or Reason::busy with its text.
Rejection open_refused(const Error& error, Rejection unusable);

}  // namespace badged::attest
