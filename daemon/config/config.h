// badged.toml, as docs/protocol.md shows it. Strict: an unknown key, a wrong type, a relative path
// are errors with file, line, column and a hint, all collected. Read once at start; [tiers] and
// [limits] again at reload, [[subject_issuer]] too. Any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/agents/diagnostic.h"
#include "daemon/agents/subject_issuer.h"
#include "daemon/agents/tiers.h"

namespace badged::config {

constexpr std::string_view kDefaultFile = "/etc/badged/badged.toml";

enum class StoreKind { tpm, software };

struct Keystore {
  StoreKind kind = StoreKind::tpm;
  std::string tcti = "device:/dev/tpmrm0";
  bool i_accept_software_keys = false;  // always true where kind is software
};

// How the keys that sign tokens of the lower tiers take turns.
struct Tokens {
  std::chrono::seconds jwks_cache{300};              // how long verifiers may keep the JWKS
  std::chrono::seconds issuing_key_lifetime{86400};  // a key signs for this long
};

// Where the logs that go with evidence are; absent: where the kernel shows those of the TPM in use.
struct Evidence {
  std::optional<std::string> event_log;  // empty: never attached
  std::optional<std::string> ima_log;  // names every file that the host ran: empty keeps that here
};

struct Config {
  std::string file;
  std::string issuer;  // https URL without query or fragment (RFC 8414 2), no default; as written
  std::string trust_domain;  // SPIFFE; default: the issuer's host
  std::string host;          // one SPIFFE path segment; default: the host name
  std::string agents_dir = "/etc/badged/agents.d";
  std::string state_dir = "/var/lib/badged";
  std::string agent_socket = "/run/badged/agent.sock";
  std::string admin_socket = "/run/badged/admin/admin.sock";
  Keystore keystore;
  Tokens tokens;
  Evidence evidence;
  std::vector<agents::SubjectIssuer> subject_issuers;  // again at reload
  agents::TierRules tiers;  // [tiers] and [limits.TIER] over the defaults
};

struct LoadedConfig {
  std::optional<Config> config;  // absent iff `problems` holds an error
  agents::Diagnostics problems;  // with warnings too
};

// Pure. `default_host` stands in where the text gives no host.
LoadedConfig parse_config(std::string_view text, std::string_view file,
                          std::string_view default_host);

// Reads the file (at most 32 KiB, owned by root or this user, not writable by others).
LoadedConfig load_config(const std::string& file);

}  // namespace badged::config
