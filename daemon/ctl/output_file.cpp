#include "daemon/ctl/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace badged::ctl {
namespace {

// 0, or errno. Closes `fd`.
int write_and_close(int fd, std::string_view text) {
  int error = 0;
  while (!text.empty() && error == 0) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) error = errno;
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::close(fd) != 0 && error == 0) error = errno;
  return error;
}

// What stands there and is no plain file, such as /dev/stdout or a link, is written to; a rename
// would put a file in its place.
bool is_other_than_file(const std::string& path) {
  struct stat facts {};
  return ::lstat(path.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode);
}

int write_through(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
  return fd < 0 ? errno : write_and_close(fd, text);
}

// Beside the file first, so that no half of it is ever at its place.
int write_whole(const std::string& path, std::string_view text) {
  if (is_other_than_file(path)) return write_through(path, text);
  std::string name = path + ".XXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return errno;
  int error = write_and_close(fd, text);
  if (error == 0 && ::rename(name.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) ::unlink(name.c_str());
  return error;
}

}  // namespace

std::optional<Failure> write_output(const std::string& path, std::string_view content,
                                    std::string_view what) {
  const int error =
      path == "-" ? write_through("/dev/stdout", content) : write_whole(path, content);
  if (error == 0) return std::nullopt;
  return Failure{Exit::unreachable,
                 "unwritable",
                 std::string("write ").append(what) + " to " + path + ": " + std::strerror(error),
                 "may you write there, and is there room?",
                 {}};
}

}  // namespace badged::ctl
