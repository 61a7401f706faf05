#include "daemon/calls/host_logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "daemon/peers/owned_fd.h"

namespace badged::calls {
namespace {

constexpr std::size_t kChunk = 64 * 1024;
constexpr std::string_view kSecurityFs = "/sys/kernel/security/";

// "0" of "device:/dev/tpmrm0" and "device:/dev/tpm0"; empty for any other TCTI.
std::string kernel_tpm(std::string_view tcti) {
  for (const std::string_view prefix : {"device:/dev/tpmrm", "device:/dev/tpm"}) {
    if (!tcti.starts_with(prefix)) continue;
    const auto number = tcti.substr(prefix.size());
    const bool digits = !number.empty() && number.size() < 6 &&
                        number.find_first_not_of("0123456789") == std::string_view::npos;
    return digits ? std::string(number) : std::string();
  }
  return {};
}

}  // namespace

HostLog read_host_log(const std::string& path, std::size_t limit) {
  if (path.empty()) return {{}, "absent"};
  // Never a terminal, a fifo that waits for its writer, or a descriptor for children.
  const peers::OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) return {{}, errno == ENOENT ? "absent" : "unreadable"};
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return {{}, "unreadable"};
  // securityfs tells no size: read until the end, and never further than what may be taken.
  HostLog log;
  for (;;) {
    const std::size_t have = log.content.size();
    log.content.resize(have + std::min(kChunk, limit + 1 - have));
    const auto got = ::read(file.get(), log.content.data() + have, log.content.size() - have);
    log.content.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {{}, "unreadable"};
    if (got == 0) break;
    if (log.content.size() > limit) return {{}, "too-large"};
  }
  if (log.content.empty()) log.omitted = "absent";
  return log;
}

HostLogPaths host_log_paths(const config::Config& config) {
  HostLogPaths paths;
  const auto tpm = kernel_tpm(config.keystore.tcti);
  if (!tpm.empty()) {
    paths.event_log = std::string(kSecurityFs) + "tpm" + tpm + "/binary_bios_measurements";
    // IMA extends the first TPM alone.
    if (tpm == "0") paths.ima_log = std::string(kSecurityFs) + "ima/binary_runtime_measurements";
  }
  if (config.evidence.event_log) paths.event_log = *config.evidence.event_log;
  if (config.evidence.ima_log) paths.ima_log = *config.evidence.ima_log;
  return paths;
}

}  // namespace badged::calls
