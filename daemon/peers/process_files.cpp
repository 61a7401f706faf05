#include "daemon/peers/process_files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <optional>

#include "daemon/peers/limits.h"

namespace badged::peers {

namespace {

// What a failing read below /proc/PID means for the caller.
Refusal proc_failure(const char* what, int error_number) {
  switch (error_number) {
    case ENOENT:
    case ESRCH:
      return refuse_errno(PeerRefusal::process_exited, what, error_number);
    case EACCES:
    case EPERM:
      return refuse_errno(PeerRefusal::process_unreadable, what, error_number);
    default:
      return refuse_errno(PeerRefusal::kernel_failure, what, error_number);
  }
}

// Takes the next word off `text`; empty at the end.
std::string_view next_word(std::string_view& text) {
  const std::size_t from = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(from);
  const std::size_t length = std::min(text.find_first_of(" \t\n"), text.size());
  const std::string_view word = text.substr(0, length);
  text.remove_prefix(length);
  return word;
}

template <class Number>
std::optional<Number> number(std::string_view word) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// The line "Uid:\t1\t1\t1\t1": the id that all four are, if they are.
PeerResult<std::uint32_t> one_id(std::string_view status, std::string_view key) {
  const std::size_t at = status.find(key);
  if (at == std::string_view::npos) return refuse(PeerRefusal::kernel_failure, "parse status");
  std::string_view line = status.substr(at + key.size());
  std::array<std::uint32_t, 4> ids{};
  for (std::uint32_t& id : ids) {
    const auto value = number<std::uint32_t>(next_word(line));
    if (!value) return refuse(PeerRefusal::kernel_failure, "parse status");
    id = *value;
  }
  if (std::any_of(ids.begin(), ids.end(), [&](std::uint32_t id) { return id != ids[0]; })) {
    return refuse(PeerRefusal::ids_differ);
  }
  return ids[0];
}

std::int64_t nanoseconds(const struct statx_timestamp& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

PeerResult<OwnedFd> open_process_directory(pid_t pid) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d", pid);
  OwnedFd directory(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return proc_failure("open /proc/PID", errno);
  return directory;
}

PeerResult<OwnedFd> open_process_file(int directory, const char* name) {
  OwnedFd file(::openat(directory, name, O_RDONLY | O_CLOEXEC));
  if (!file) return proc_failure("open a file of /proc/PID", errno);
  return file;
}

PeerResult<std::string> read_process_file(int directory, const char* name, std::size_t limit) {
  auto file = open_process_file(directory, name);
  if (!file) return file.error();
  std::string text(std::min<std::size_t>(limit, 4096), '\0');
  std::size_t used = 0;
  for (;;) {
    const ssize_t got = ::read(file->get(), text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return proc_failure("read a file of /proc/PID", errno);
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used < text.size()) continue;
    if (used >= limit)
      return refuse(PeerRefusal::kernel_failure, "a file of /proc/PID is too long");
    text.resize(std::min(limit, text.size() * 2));
  }
  text.resize(used);
  return text;
}

PeerResult<ProcessStat> read_stat(int stat_fd) {
  std::array<char, 2048> buffer;
  const ssize_t got = ::pread(stat_fd, buffer.data(), buffer.size(), 0);
  if (got < 0) return proc_failure("read /proc/PID/stat", errno);
  return parse_stat({buffer.data(), static_cast<std::size_t>(got)});
}

PeerResult<ProcessStat> parse_stat(std::string_view text) {
  // proc(5). The second field is the program's name in parentheses, and may hold any byte.
  constexpr int kState = 3, kFlags = 9, kStart = 22, kCodeStart = 26, kCodeEnd = 27,
                kStackStart = 28;
  constexpr int kDataStart = 45, kDataEnd = 46, kHeapStart = 47;
  const Refusal malformed = refuse(PeerRefusal::kernel_failure, "parse /proc/PID/stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return malformed;
  std::string_view rest = text.substr(name_end + 1);
  ProcessStat stat;
  std::uint64_t flags = 0;
  const std::string_view state = next_word(rest);
  if (state.size() != 1) return malformed;
  stat.state = state[0];
  for (int field = kState + 1; field <= kHeapStart; ++field) {
    const std::string_view word = next_word(rest);
    std::uint64_t* into = nullptr;
    switch (field) {
      case kFlags:
        into = &flags;
        break;
      case kStart:
        into = &stat.start_ticks;
        break;
      case kCodeStart:
        into = &stat.layout.code_start;
        break;
      case kCodeEnd:
        into = &stat.layout.code_end;
        break;
      case kStackStart:
        into = &stat.layout.stack_start;
        break;
      case kDataStart:
        into = &stat.layout.data_start;
        break;
      case kDataEnd:
        into = &stat.layout.data_end;
        break;
      case kHeapStart:
        into = &stat.layout.heap_start;
        break;
      default:
        break;
    }
    if (word.empty()) return malformed;
    if (!into) continue;
    const auto value = number<std::uint64_t>(word);
    if (!value) return malformed;
    *into = *value;
  }
  constexpr std::uint64_t kExiting = 0x4;  // PF_EXITING of the kernel
  stat.exiting = (flags & kExiting) != 0;
  return stat;
}

PeerResult<ProcessIds> read_ids(int directory) {
  auto status = read_process_file(directory, "status", kMaxProcFile);
  if (!status) return status.error();
  return parse_ids(*status);
}

PeerResult<ProcessIds> parse_ids(std::string_view status) {
  // The first line holds the program's name, with newline and backslash escaped by the kernel.
  const auto uid = one_id(status, "\nUid:");
  if (!uid) return uid.error();
  const auto gid = one_id(status, "\nGid:");
  if (!gid) return gid.error();
  return ProcessIds{*uid, *gid};
}

PeerResult<FileId> read_namespace(int directory, const char* name) {
  char path[16];
  std::snprintf(path, sizeof path, "ns/%s", name);
  struct stat found {};
  if (::fstatat(directory, path, &found, 0) != 0) {
    return proc_failure("look at a namespace of the process", errno);
  }
  return FileId{found.st_dev, found.st_ino, 0};
}

PeerResult<ExecutableFacts> find_executable(int directory) {
  ExecutableFacts facts;
  // A magic link: no name is looked up on the file system, and O_PATH does not open there. With
  // DONT_SYNC the attributes are those that the kernel has: a FUSE server is not asked.
  facts.path_fd.reset(::openat(directory, "exe", O_PATH | O_CLOEXEC));
  if (!facts.path_fd) return proc_failure("find the executable", errno);
  struct statx found {};
  if (::statx(facts.path_fd.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
              STATX_BASIC_STATS | STATX_MNT_ID, &found) != 0) {
    return proc_failure("look at the executable", errno);
  }
  facts.id = FileId{makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino,
                    nanoseconds(found.stx_ctime)};
  facts.mount_id = (found.stx_mask & STATX_MNT_ID) != 0 ? found.stx_mnt_id : 0;
  facts.mode = found.stx_mode;
  facts.size = found.stx_size;
  return facts;
}

std::string executable_name(int directory) {
  std::array<char, PATH_MAX> buffer;
  const ssize_t got = ::readlinkat(directory, "exe", buffer.data(), buffer.size());
  if (got <= 0 || static_cast<std::size_t>(got) == buffer.size()) return {};
  const std::string_view name(buffer.data(), static_cast<std::size_t>(got));
  const bool plain = std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  return plain ? std::string(name) : std::string{};
}

bool memory_is_same(int maps_fd) {
  char byte;
  for (;;) {
    const ssize_t got = ::pread(maps_fd, &byte, 1, 0);
    if (got < 0 && errno == EINTR) continue;
    return got > 0;
  }
}

bool pidfd_is_readable(int pidfd) {
  pollfd wait{pidfd, POLLIN, 0};
  // A pidfd that cannot be polled proves nothing: as if it had exited.
  return ::poll(&wait, 1, 0) != 0;
}

}  // namespace badged::peers
