#include "daemon/calls/admin_peer.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "daemon/peers/owned_fd.h"

namespace badged::calls {
namespace {

constexpr std::uint32_t kNoLogin = 4294967295U;  // (uid_t)-1, as the kernel writes it
constexpr std::size_t kMaxGroups = 65536;        // NGROUPS_MAX

std::vector<gid_t> peer_groups(int connection) {
  std::vector<gid_t> groups(64);
  for (;;) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno != ERANGE || groups.size() >= kMaxGroups) return {};
    groups.resize(groups.size() * 4);
  }
}

std::uint32_t login_uid(const peers::Process& process) {
  const auto directory = process.duplicate_directory();
  const peers::OwnedFd file(::openat(directory.get(), "loginuid", O_RDONLY | O_CLOEXEC));
  std::array<char, 16> text{};
  const auto length = file ? ::read(file.get(), text.data(), text.size()) : -1;
  std::uint32_t uid = kNoLogin;
  if (length > 0) std::from_chars(text.data(), text.data() + length, uid);
  return uid;
}

}  // namespace

Result<AdminPeer> admin_peer(const front::Exchange& exchange) {
  const auto& facts = exchange.process->facts();
  const AdminPeer admin{facts.uid, login_uid(*exchange.process)};
  if (facts.uid == 0) return admin;
  // Looked up each time: a group may be made, and its members change, while badged runs.
  const auto* group = ::getgrnam(kAdminGroup);
  const auto groups = peer_groups(exchange.connection_fd);
  const bool member =
      group != nullptr && (facts.gid == group->gr_gid ||
                           std::find(groups.begin(), groups.end(), group->gr_gid) != groups.end());
  if (member) return admin;
  return fail(Errc::refused, "this verb is for root and the members of badged-admin",
              "use sudo, or have root add you to the group badged-admin and log in again");
}

}  // namespace badged::calls
