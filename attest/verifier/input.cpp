#include "attest/verifier/input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

namespace badged::verifier {

namespace {

Error unreadable(const std::string& path) {
  return fail(errno == ENOENT ? Errc::not_found : Errc::unavailable,
              "read " + path + ": " + std::strerror(errno), "name a file that can be read, or -");
}

Result<std::string> read_all(int fd, const std::string& path, std::size_t max_bytes) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unreadable(path);
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > max_bytes)
      return fail(Errc::malformed,
                  "read " + path + ": longer than " + std::to_string(max_bytes) + " bytes");
  }
}

}  // namespace

Result<std::string> read_input(const std::string& path, std::size_t max_bytes) {
  if (path == "-") return read_all(STDIN_FILENO, "standard input", max_bytes);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return unreadable(path);
  auto text = read_all(fd, path, max_bytes);
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
