// Parts of badged.toml that have files of their own, and what they share. Only config.cpp and they
// include this.
#pragma once

#include "daemon/agents/toml_reader.h"
#include "daemon/config/config.h"

namespace badged::config {

constexpr std::size_t kMaxPathBytes = 4'000;  // PATH_MAX less what we append
constexpr std::size_t kMaxIssuerBytes = 512;  // `iss` of every token

// An absolute path without '.', '..' and '//'; anything else is reported.
void read_path(agents::TomlTable& doc, std::string_view key, std::size_t max_bytes,
               std::string& into);

// [[subject_issuer]]; after `issuer`.
void read_subject_issuers(agents::TomlTable& doc, Config& config);

}  // namespace badged::config
