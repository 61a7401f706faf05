// Another issuer whose tokens agents may act for (RFC 8693), as badged.toml names it.
#pragma once

#include <string>
#include <vector>

#include "attest/jose/trusted_keys.h"
#include "daemon/agents/diagnostic.h"

namespace badged::agents {

struct SubjectIssuer {
  std::string issuer;                                // `iss`, compared as a string; never fetched
  std::string jwks_file;                             // its keys, put there by an admin
  std::vector<attest::SubjectAlgorithm> algorithms;  // pinned; at least one
  std::vector<std::string> types;  // accepted `typ`, lower case; "" where none is accepted too
  Position at;
};

}  // namespace badged::agents
