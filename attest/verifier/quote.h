// `badge-verifier quote`: is this bare TPM quote good?
#pragma once

#include <optional>
#include <string>

#include "attest/verifier/exit.h"

namespace CLI {
class App;
}

namespace badged::verifier {

struct QuoteOptions {
  std::string ak, attest, signature;
  std::optional<std::string> nonce, pcrs;  // hex; a file
};

// Declares the verb, its options and its help. `options` must outlive the app.
CLI::App* add_quote_verb(CLI::App& app, QuoteOptions& options);

Outcome run_quote(const QuoteOptions& options);

}  // namespace badged::verifier
