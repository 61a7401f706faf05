// The logs in which the kernel says what was measured into PCRs: they go with evidence, unverified.
#pragma once

#include <string>

#include "daemon/config/config.h"
#include "keystore/bytes.h"

namespace badged::calls {

struct HostLog {
  Bytes content;
  const char* omitted = nullptr;  // why there is none: "absent", "unreadable", "too-large"
};

// A whole file, of at most `limit` bytes. May block: not on the I/O thread. An empty path and an
// empty file are absent.
HostLog read_host_log(const std::string& path, std::size_t limit);

// Where this host's logs are: as configured; else the kernel's own for the TPM that the TCTI names,
// and nowhere for a TPM that is not the kernel's: what its logs say happened to another TPM.
struct HostLogPaths {
  std::string event_log;  // empty: none
  std::string ima_log;
};
HostLogPaths host_log_paths(const config::Config& config);

}  // namespace badged::calls
