// `badge-verifier token`: is this token good, and this proof for it?
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "attest/verifier/exit.h"

namespace CLI {
class App;
}

namespace badged::verifier {

struct TokenOptions {
  std::string jwks, issuer, audience, token;
  std::optional<std::string> proof, method, url, nonce, replay, status_list;
  std::optional<std::int64_t> at;  // Unix time; the clock's where absent
};

// Declares the verb, its options and its help. `options` must outlive the app.
CLI::App* add_token_verb(CLI::App& app, TokenOptions& options);

Outcome run_token(const TokenOptions& options);

}  // namespace badged::verifier
