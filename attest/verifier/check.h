// `badge-verifier check`: is this evidence good, and for me?
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "attest/verifier/exit.h"

namespace CLI {
class App;
}

namespace badged::verifier {

struct CheckOptions {
  std::string ak, challenge, audience, evidence;
  std::optional<std::string> pcrs, state;
  bool allow_sha1_bank = false;
  std::optional<std::int64_t> at;  // Unix time; the clock's where absent
};

// Declares the verb, its options and its help. `options` must outlive the app.
CLI::App* add_check_verb(CLI::App& app, CheckOptions& options);

Outcome run_check(const CheckOptions& options);

}  // namespace badged::verifier
