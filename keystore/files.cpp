#include "keystore/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "keystore/random.h"

namespace badged::keystore {

namespace {

// A descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error failed(const char* doing, const std::filesystem::path& path, int error) {
  return fail(Errc::unavailable, std::string(doing) + " " + path.string() + ": " + strerror(error),
              "check the owner, the mode and the free space of state_dir");
}

bool write_all(int fd, ByteView content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    content = content.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

Result<void> sync_directory(const std::filesystem::path& directory) {
  const char* name = directory.empty() ? "." : directory.c_str();  // of a bare name
  const Fd fd(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return failed("make durable", directory, errno);
  return ok();
}

std::filesystem::path temporary_name(const std::filesystem::path& file) {
  std::array<std::uint8_t, 8> salt;
  fill_random(salt);
  std::string name = "." + file.filename().string() + ".";
  for (const auto byte : salt) {
    std::array<char, 3> hex;
    std::snprintf(hex.data(), hex.size(), "%02x", byte);
    name += hex.data();
  }
  return file.parent_path() / name;
}

}  // namespace

Result<void> prepare_private_directory(const std::filesystem::path& directory) {
  if (::mkdir(directory.c_str(), 0700) == 0) return sync_directory(directory.parent_path());
  if (errno != EEXIST) return failed("make the directory", directory, errno);
  struct stat st;
  if (::lstat(directory.c_str(), &st) != 0) return failed("look at", directory, errno);
  if (!S_ISDIR(st.st_mode)) return failed("use the directory", directory, ENOTDIR);
  if (st.st_uid != ::geteuid() || (st.st_mode & 077) != 0)
    return fail(Errc::refused, "keep keys in " + directory.string() + ": it is not ours alone",
                "chown it to the user badged runs as and chmod it to 0700");
  return ok();
}

Result<void> write_private_file(const std::filesystem::path& file, ByteView content) {
  const auto temporary = temporary_name(file);
  {
    const Fd fd(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd.get() < 0) return failed("write", temporary, errno);
    if (!write_all(fd.get(), content) || ::fsync(fd.get()) != 0) {
      const int error = errno;
      ::unlink(temporary.c_str());
      return failed("write", temporary, error);
    }
  }
  if (::rename(temporary.c_str(), file.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return failed("replace", file, error);
  }
  return sync_directory(file.parent_path());
}

Result<std::optional<Bytes>> read_private_file(const std::filesystem::path& file,
                                               std::size_t limit) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0 && errno == ENOENT) return std::optional<Bytes>();
  if (fd.get() < 0) return failed("read", file, errno);
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return failed("look at", file, errno);
  if (!S_ISREG(st.st_mode) || st.st_uid != ::geteuid() || (st.st_mode & 077) != 0)
    return fail(Errc::refused, "read " + file.string() + ": it is not a file of ours alone",
                "chown it to the user badged runs as and chmod it to 0600");
  Bytes content(limit + 1);
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t n = ::read(fd.get(), content.data() + size, content.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", file, errno);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > limit) return fail(Errc::malformed, "read " + file.string() + ": it is too large");
  content.resize(size);
  return std::optional<Bytes>(std::move(content));
}

}  // namespace badged::keystore
