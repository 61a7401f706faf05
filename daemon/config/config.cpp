#include "daemon/config/config.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "attest/jose/url.h"
#include "daemon/agents/guarded_file.h"
#include "daemon/agents/toml_reader.h"
#include "daemon/config/parts.h"

namespace badged::config {
namespace {

using agents::Need;
using agents::quoted;
using agents::TomlTable;

// Far above any real file; the parser's depth is bounded by it.
constexpr std::size_t kMaxConfigBytes = 32 * 1024;
constexpr std::size_t kMaxTrustDomainBytes = 255;  // SPIFFE-ID 2.1
constexpr std::size_t kMaxHostBytes = 255;         // HOST_NAME_MAX and to spare
constexpr std::size_t kMaxSocketBytes = 107;       // sockaddr_un
constexpr std::size_t kMaxTctiBytes = 512;

bool all_of(std::string_view text, std::string_view extra, bool capitals) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (capitals && c >= 'A' && c <= 'Z') ||
           extra.find(c) != std::string_view::npos;
  });
}

bool is_trust_domain(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTrustDomainBytes && all_of(text, ".-_", false);
}

bool is_path_segment(std::string_view text) {
  return !text.empty() && text != "." && text != ".." && all_of(text, ".-_", true);
}

// Without the brackets of an IPv6 address: then it is no trust domain, and that is said.
std::string host_of(std::string_view url) {
  url.remove_prefix(std::min(url.size(), std::string_view("https://").size()));
  return std::string(url.substr(0, url.find_first_of(":/")));
}

void read_issuer(TomlTable& doc, Config& config) {
  auto issuer = doc.text("issuer", Need::required, kMaxIssuerBytes);
  if (!issuer) return;
  const auto normal = attest::normalise_htu(*issuer);
  const bool plain = issuer->find_first_of("?#\"\\ ") == std::string::npos;
  if (!normal || !plain || !normal->starts_with("https://") || !issuer->starts_with("https://")) {
    doc.error("issuer", "'issuer' is no https URL without query and fragment: " + quoted(*issuer),
              "the URL under which verifiers will find its keys, such as "
              "\"https://badged.example.org\"; badged itself never fetches it");
    return;
  }
  config.issuer = std::move(*issuer);
  config.trust_domain = host_of(*normal);
}

void read_identity(TomlTable& doc, Config& config, std::string_view default_host) {
  read_issuer(doc, config);
  const bool issuer_known = !config.issuer.empty();
  if (auto domain = doc.text("trust_domain", Need::optional, kMaxTrustDomainBytes)) {
    config.trust_domain = std::move(*domain);
  }
  if ((issuer_known || doc.has("trust_domain")) && !is_trust_domain(config.trust_domain)) {
    doc.error("trust_domain", "no trust domain: " + quoted(config.trust_domain),
              "lower-case letters, digits, '.', '-' and '_', such as \"example.org\"");
  }
  config.host = doc.text("host", Need::optional, kMaxHostBytes).value_or(std::string(default_host));
  if (!is_path_segment(config.host)) {
    doc.error("host", "no host name: " + quoted(config.host),
              "letters, digits, '.', '-' and '_': it becomes part of every token's `sub`");
  }
}

bool is_absolute_and_plain(std::string_view path) {
  return path.starts_with('/') && path.find("//") == std::string_view::npos &&
         (std::string(path) + "/").find("/../") == std::string::npos &&
         (std::string(path) + "/").find("/./") == std::string::npos;
}

}  // namespace

void read_path(TomlTable& doc, std::string_view key, std::size_t max_bytes, std::string& into) {
  auto path = doc.text(key, Need::optional, max_bytes);
  if (!path) return;
  if (!is_absolute_and_plain(*path)) {
    doc.error(key, "'" + std::string(key) + "' is no absolute path: " + quoted(*path),
              "start it with / and leave out '.', '..' and '//'");
    return;
  }
  while (path->size() > 1 && path->back() == '/') path->pop_back();
  into = std::move(*path);
}

namespace {

// The TCTIs of tpm2-tss that are opened with a list of KEY=VALUE.
bool is_socket_address(std::string_view conf) {
  while (!conf.empty()) {
    const auto item = conf.substr(0, conf.find(','));
    const auto equals = std::min(item.find('='), item.size());
    const auto key = item.substr(0, equals);
    const auto value = item.substr(std::min(equals + 1, item.size()));
    if ((key != "host" && key != "port" && key != "path") || value.empty()) return false;
    const bool digits = value.size() <= 5 && value.find_first_not_of("0123456789") == value.npos;
    if (key == "port" && (!digits || std::stoi(std::string(value)) > 65535)) return false;
    if (item.size() + 1 == conf.size()) return false;  // a comma with nothing after it
    conf.remove_prefix(std::min(item.size() + 1, conf.size()));
  }
  return true;
}

// Whether tpm2-tss could know what to do with it (tctildr: NAME, NAME:CONF, or the file of a
// library). Whether a TPM answers there is seen when badged opens it.
bool is_tcti(std::string_view tcti) {
  const auto colon = std::min(tcti.find(':'), tcti.size());
  const auto name = tcti.substr(0, colon);
  const auto conf = tcti.substr(std::min(colon + 1, tcti.size()));
  if (std::any_of(name.begin(), name.end(), [](char c) { return c <= ' ' || c > '~'; }))
    return false;
  if (name == "device") return conf.size() > 1 && conf.starts_with('/');
  if (name == "swtpm" || name == "mssim")
    return conf.find(' ') == conf.npos && is_socket_address(conf);
  if (name == "cmd" || name == "pcap") return !conf.empty();
  return name == "tabrmd" || name == "libtpms" || name.find(".so") != name.npos;
}

std::optional<StoreKind> store_kind_from(std::string_view word) {
  if (word == "tpm") return StoreKind::tpm;
  if (word == "software") return StoreKind::software;
  return std::nullopt;
}

void read_keystore(TomlTable& doc, Config& config) {
  auto table = doc.table("keystore", Need::optional);
  if (!table) return;
  Keystore& keystore = config.keystore;
  keystore.kind = table->word("kind", Need::optional, store_kind_from, "tpm, software")
                      .value_or(StoreKind::tpm);
  const bool software = keystore.kind == StoreKind::software;
  if (auto tcti = table->text("tcti", Need::optional, kMaxTctiBytes)) {
    if (software) table->warn("tcti", "'tcti' in [keystore] is not used by kind = \"software\"");
    if (!is_tcti(*tcti))
      table->error("tcti", "'tcti' is no TCTI string: " + quoted(*tcti),
                   "a device is \"device:/dev/tpmrm0\", a simulator \"swtpm:path=/run/tpm.sock\"");
    keystore.tcti = std::move(*tcti);
  }
  keystore.i_accept_software_keys = table->flag("i_accept_software_keys").value_or(false);
  if (software && !keystore.i_accept_software_keys) {
    table->error("kind", "kind = \"software\" keeps the keys in a file",
                 "for development, say so: i_accept_software_keys = true; else use kind = \"tpm\"");
  }
  if (!software && keystore.i_accept_software_keys) {
    table->warn("i_accept_software_keys",
                "'i_accept_software_keys' has no meaning with kind = \"tpm\": the keys stay there");
  }
  table->finish();
}

void read_tier_row(TomlTable& rows, agents::Autonomy autonomy, agents::TierMap& map) {
  auto row = rows.table(to_string(autonomy), Need::optional);
  if (!row) return;
  for (agents::Access access : agents::kAccesses) {
    const auto tier = row->word(to_string(access), Need::optional, agents::tier_from,
                                "baseline, elevated, high-assurance");
    if (!tier) continue;
    if (*tier < agents::TierMap().at(autonomy, access)) {
      row->warn(to_string(access),
                "'" + std::string(to_string(access)) + "' in [tiers." +
                    std::string(to_string(autonomy)) + "] is less strict than the default",
                "this is your decision; `badgectl matrix` shows whom it touches");
    }
    map.set(autonomy, access, *tier);
  }
  row->finish();
}

void read_tiers(TomlTable& doc, agents::TierMap& map) {
  auto rows = doc.table("tiers", Need::optional);
  if (!rows) return;
  if (rows->any("adaptive") != nullptr) {
    rows->error("adaptive", "[tiers.adaptive]: adaptive agents have no row of their own",
                "they count as the highest autonomy in every cell: change [tiers.high]");
  }
  for (agents::Autonomy autonomy : agents::kAutonomies) {
    if (autonomy != agents::Autonomy::adaptive) read_tier_row(*rows, autonomy, map);
  }
  rows->finish();
  if (auto disorder = map.first_disorder()) {
    doc.error("tiers", "the map is out of order: " + *disorder,
              "more autonomy or more access never means a lower tier");
  }
}

void read_rate(TomlTable& table, std::string_view key, std::uint32_t& into) {
  if (auto rate = table.number(key, 1, agents::kMaxRate)) into = static_cast<std::uint32_t>(*rate);
}

void read_lifetimes(TomlTable& table, agents::TierLimits& limits) {
  const auto ceiling = limits.max_lifetime;
  if (auto max = table.duration("max_lifetime")) {
    if (*max > ceiling) {
      table.error(
          "max_lifetime",
          "'max_lifetime' loosens the tier's limit of " + std::to_string(ceiling.count()) + "s",
          "limits of a tier can only be tightened; see docs/matrix.md");
    } else {
      limits.max_lifetime = *max;
    }
  }
  limits.default_lifetime = std::min(limits.default_lifetime, limits.max_lifetime);
  if (auto usual = table.duration("default_lifetime")) {
    if (*usual > limits.max_lifetime) {
      table.error("default_lifetime", "'default_lifetime' is above the tier's limit of " +
                                          std::to_string(limits.max_lifetime.count()) + "s");
    } else {
      limits.default_lifetime = *usual;
    }
  }
}

// A permission that a tier has can be taken away, never given.
void read_permission(TomlTable& table, std::string_view key, bool& into) {
  const auto flag = table.flag(key);
  if (!flag) return;
  if (*flag && !into) {
    table.error(key, "'" + std::string(key) + "' loosens the tier",
                "limits of a tier can only be tightened; see docs/matrix.md");
    return;
  }
  into = *flag;
}

void read_limits(TomlTable& doc, agents::TierLimitTable& limit_table) {
  auto all = doc.table("limits", Need::optional);
  if (!all) return;
  for (agents::Tier tier : agents::kTiers) {
    auto table = all->table(to_string(tier), Need::optional);
    if (!table) continue;
    agents::TierLimits& limits = limit_table.of(tier);
    read_lifetimes(*table, limits);
    read_permission(*table, "unit_binding", limits.unit_binding);
    read_permission(*table, "bearer", limits.bearer);
    read_rate(*table, "tokens_per_second", limits.tokens.per_second);
    read_rate(*table, "token_burst", limits.tokens.burst);
    read_rate(*table, "proofs_per_second", limits.proofs.per_second);
    read_rate(*table, "proof_burst", limits.proofs.burst);
    table->finish();
  }
  all->finish();
}

void read_tokens(TomlTable& doc, Tokens& tokens) {
  auto table = doc.table("tokens", Need::optional);
  if (!table) return;
  tokens.jwks_cache = table->duration("jwks_cache").value_or(tokens.jwks_cache);
  tokens.issuing_key_lifetime =
      table->duration("issuing_key_lifetime").value_or(tokens.issuing_key_lifetime);
  if (tokens.issuing_key_lifetime < 3 * tokens.jwks_cache) {
    table->error("issuing_key_lifetime",
                 "'issuing_key_lifetime' is less than three times 'jwks_cache'",
                 "the next key is made two cache lifetimes before its first use");
  }
  table->finish();
}

void read_log_path(TomlTable& table, std::string_view key, std::optional<std::string>& into) {
  std::string path;
  read_path(table, key, kMaxPathBytes, path);
  if (!path.empty()) into = std::move(path);
}

void read_evidence(TomlTable& doc, Evidence& evidence) {
  auto table = doc.table("evidence", Need::optional);
  if (!table) return;
  read_log_path(*table, "event_log", evidence.event_log);
  read_log_path(*table, "ima_log", evidence.ima_log);
  if (!table->flag("attach_logs").value_or(true)) evidence = {std::string(), std::string()};
  table->finish();
}

void read_document(TomlTable& doc, Config& config, std::string_view default_host) {
  read_identity(doc, config, default_host);
  read_path(doc, "agents_dir", kMaxPathBytes, config.agents_dir);
  read_path(doc, "state_dir", kMaxPathBytes, config.state_dir);
  read_path(doc, "agent_socket", kMaxSocketBytes, config.agent_socket);
  read_path(doc, "admin_socket", kMaxSocketBytes, config.admin_socket);
  if (config.agent_socket == config.admin_socket) {
    doc.error("admin_socket", "'admin_socket' is the same as 'agent_socket'",
              "they serve different callers: give each a path");
  }
  read_keystore(doc, config);
  read_tokens(doc, config.tokens);
  read_evidence(doc, config.evidence);
  read_subject_issuers(doc, config);
  read_tiers(doc, config.tiers.map);
  read_limits(doc, config.tiers.limits);
  doc.finish();
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

}  // namespace

LoadedConfig parse_config(std::string_view text, std::string_view file,
                          std::string_view default_host) {
  LoadedConfig loaded;
  agents::Reporter report(file, loaded.problems);
  if (auto table = agents::parse_toml(text, kMaxConfigBytes, report)) {
    Config config;
    config.file = file;
    TomlTable doc(*table, "", report);
    read_document(doc, config, default_host);
    if (!report.failed()) loaded.config = std::move(config);
  }
  agents::sort(loaded.problems);
  return loaded;
}

LoadedConfig load_config(const std::string& file) {
  auto text = agents::read_guarded_file(AT_FDCWD, file, kMaxConfigBytes);
  if (text) return parse_config(*text, file, host_name());
  LoadedConfig loaded;
  agents::Reporter(file, loaded.problems).error({}, text.error().what, text.error().hint);
  return loaded;
}

}  // namespace badged::config
