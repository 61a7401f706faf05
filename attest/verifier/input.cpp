#include "attest/verifier/input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

namespace badged::verifier {

namespace {

using Clock = std::chrono::steady_clock;

struct Source {
  int fd;
  const std::string& name;
  std::optional<Clock::time_point> until;  // nothing: as long as it takes
};

Error unreadable(const std::string& name, std::string_view why) {
  return fail(Errc::unavailable, "read " + name + ": " + std::string(why),
              "name a file or a pipe that can be read, or - for standard input");
}

Error unreadable(const std::string& name) {
  auto error = unreadable(name, std::strerror(errno));
  if (errno == ENOENT) error.code = Errc::not_found;
  return error;
}

// -1, as poll has it, for no end.
int milliseconds_left(const Source& source) {
  if (!source.until) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*source.until - Clock::now());
  return static_cast<int>(std::max(left, std::chrono::milliseconds(0)).count());
}

// Nothing of it where the source does not go on now. A pipe that nobody has opened for writing yet
// would read as one that has ended, so that it is asked first whether there is something to read.
Result<std::optional<std::size_t>> read_some(const Source& source, std::span<char> into) {
  pollfd asked{source.fd, POLLIN, 0};
  const int ready = poll(&asked, 1, milliseconds_left(source));
  if (ready == 0) return unreadable(source.name, "whoever writes it does not go on");
  const ssize_t n = ready < 0 ? -1 : read(source.fd, into.data(), into.size());
  if (n >= 0) return std::optional(static_cast<std::size_t>(n));
  if (errno == EINTR || errno == EAGAIN) return std::optional<std::size_t>();
  return unreadable(source.name);
}

Result<std::string> read_all(const Source& source, std::size_t max_bytes) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const auto n = read_some(source, buffer);
    if (!n) return n.error();
    if (!*n) continue;
    if (**n == 0) return text;
    text.append(buffer, **n);
    if (text.size() > max_bytes)
      return fail(Errc::malformed,
                  "read " + source.name + ": longer than " + std::to_string(max_bytes) + " bytes");
  }
}

bool is_file_or_pipe(const struct stat& facts) {
  return S_ISREG(facts.st_mode) || S_ISFIFO(facts.st_mode);
}

Result<std::string> read_opened(int fd, const std::string& path, std::size_t max_bytes,
                                std::chrono::milliseconds patience) {
  struct stat facts {};
  if (fstat(fd, &facts) != 0) return unreadable(path);
  if (!is_file_or_pipe(facts)) return unreadable(path, "neither a file nor a pipe");
  return read_all({fd, path, Clock::now() + patience}, max_bytes);
}

}  // namespace

Result<std::string> read_input(const std::string& path, std::size_t max_bytes,
                               std::chrono::milliseconds patience) {
  const std::string standard_input = "standard input";
  if (path == "-") return read_all({STDIN_FILENO, standard_input, {}}, max_bytes);
  // A device is not even opened: some act on that; others wait, or go on without end.
  struct stat facts {};
  if (stat(path.c_str(), &facts) == 0 && !is_file_or_pipe(facts))
    return unreadable(path, "neither a file nor a pipe");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return unreadable(path);
  auto text = read_opened(fd, path, max_bytes, patience);
  close(fd);
  return text;
}

Result<std::string> read_line_input(const std::string& path, std::size_t max_bytes) {
  auto text = read_input(path, max_bytes + 2);
  if (!text) return text;
  if (text->ends_with('\n')) text->pop_back();
  if (text->ends_with('\r')) text->pop_back();
  return text;
}

}  // namespace badged::verifier
