#include "daemon/peers/executable_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "daemon/peers/limits.h"
#include "daemon/peers/owned_fd.h"
#include "daemon/peers/process_files.h"

namespace badged::peers {

namespace {

constexpr std::size_t kBlock = 256 * 1024;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { ::EVP_MD_CTX_free(context); }
};

FileId id_of(const struct stat& about) {
  return FileId{about.st_dev, about.st_ino,
                about.st_ctim.tv_sec * 1'000'000'000LL + about.st_ctim.tv_nsec};
}

bool is_settled(const FileId& id) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t now_ns = now.tv_sec * 1'000'000'000LL + now.tv_nsec;
  return now_ns - id.ctime_ns >= std::chrono::nanoseconds(kYoungFile).count();
}

// Opened by the descriptor that was judged, so it is that file. O_NONBLOCK: no fifo can hold us.
PeerResult<OwnedFd> open_judged(int path_fd) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", path_fd);
  OwnedFd file(::open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file) return refuse_errno(PeerRefusal::executable_unreadable, "open", errno);
  return file;
}

PeerResult<Digest> hash_file(int file, std::uint64_t size, const std::atomic<bool>& stopping) {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(::EVP_MD_CTX_new());
  if (!context || ::EVP_DigestInit_ex(context.get(), ::EVP_sha256(), nullptr) != 1) {
    return refuse(PeerRefusal::kernel_failure, "start SHA-256");
  }
  std::vector<std::uint8_t> block(kBlock);
  std::uint64_t at = 0;
  while (at < size) {
    if (stopping) return refuse(PeerRefusal::busy);
    const ssize_t got = ::pread(file, block.data(), block.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refuse_errno(PeerRefusal::executable_unreadable, "read", errno);
    if (got == 0) return refuse(PeerRefusal::executable_changed);
    if (::EVP_DigestUpdate(context.get(), block.data(), static_cast<std::size_t>(got)) != 1) {
      return refuse(PeerRefusal::kernel_failure, "SHA-256");
    }
    at += static_cast<std::uint64_t>(got);
  }
  if (at != size) return refuse(PeerRefusal::executable_changed);
  Digest digest;
  if (::EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    return refuse(PeerRefusal::kernel_failure, "finish SHA-256");
  }
  return digest;
}

// The n-th word of a mountinfo line, from 0.
std::string_view word(std::string_view line, std::size_t n) {
  for (; n > 0; --n) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return {};
    line.remove_prefix(space + 1);
  }
  return line.substr(0, line.find(' '));
}

bool is_local_type(std::string_view type) {
  // Deny by default. Overlay is here because containers' roots are overlays, and an overlay that
  // is in the caller's mount list while it is in PID 1's user namespace was mounted by root.
  constexpr std::string_view kLocal[] = {
      "ext2",  "ext3",   "ext4",  "xfs",      "btrfs", "f2fs",    "zfs",  "bcachefs", "overlay",
      "tmpfs", "rootfs", "ramfs", "squashfs", "erofs", "iso9660", "vfat", "exfat",    "jfs"};
  return std::find(std::begin(kLocal), std::end(kLocal), type) != std::end(kLocal);
}

}  // namespace

bool is_on_local_file_system(std::string_view mountinfo, std::uint64_t mount_id) {
  // proc(5): "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG]... - TYPE SOURCE OPTIONS", spaces and
  // newlines within a field escaped by the kernel.
  const std::string wanted = std::to_string(mount_id);
  while (!mountinfo.empty()) {
    const std::size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    const std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    if (word(line, 0) != wanted) continue;
    constexpr std::size_t kFirstTag = 6;
    for (std::size_t at = kFirstTag; !word(line, at).empty(); ++at) {
      if (word(line, at) == "-") return is_local_type(word(line, at + 1));
    }
    return false;
  }
  return false;
}

PeerResult<HashedFile> hash_executable(int directory, const FileId& admitted,
                                       const std::atomic<bool>& stopping) {
  const auto found = find_executable(directory);
  if (!found) return found.error();
  if (!found->id.is_same_file(admitted)) return refuse(PeerRefusal::executable_changed);
  // Judged by the caller's own list of mounts, which the kernel answers alone: statfs() would ask
  // the file system, and a FUSE server need not answer.
  const auto mounts = read_process_file(directory, "mountinfo", kMaxMountInfo);
  if (!mounts) return mounts.error();
  if (!is_on_local_file_system(*mounts, found->mount_id)) {
    return refuse(PeerRefusal::executable_not_local);
  }
  if (!S_ISREG(found->mode)) return refuse(PeerRefusal::executable_not_regular);
  const auto file = open_judged(found->path_fd.get());
  if (!file) return file.error();
  struct stat before {
  }, after{};
  if (::fstat(file->get(), &before) != 0) {
    return refuse_errno(PeerRefusal::executable_unreadable, "fstat", errno);
  }
  if (!id_of(before).is_same_file(admitted)) return refuse(PeerRefusal::executable_changed);
  const auto size = static_cast<std::uint64_t>(before.st_size);
  if (size > kMaxExecutable) return refuse(PeerRefusal::executable_too_large);
  const auto digest = hash_file(file->get(), size, stopping);
  if (!digest) return digest.error();
  if (::fstat(file->get(), &after) != 0 || id_of(after) != id_of(before) ||
      after.st_size != before.st_size) {
    return refuse(PeerRefusal::executable_changed);
  }
  return HashedFile{id_of(before), *digest, is_settled(id_of(before))};
}

}  // namespace badged::peers
