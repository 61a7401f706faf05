// badge-verifier: checks tokens and evidence anywhere, with no TPM stack and no network.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>

#include "attest/verifier/arguments.h"
#include "attest/verifier/check.h"
#include "attest/verifier/quote.h"
#include "attest/verifier/token.h"

using namespace badged::verifier;

namespace {

bool asks_for_json(int argc, char** argv) {
  return std::find(argv + 1, argv + argc, std::string_view("--json")) != argv + argc;
}

int run(int argc, char** argv) {
  CLI::App app("Checks access tokens and evidence that badged made, and quotes of TPMs, offline",
               "badge-verifier");
  app.require_subcommand(1)->fallthrough();  // verbs take it over: common options may follow them
  bool as_json = false;
  TokenOptions token;
  QuoteOptions quote;
  CheckOptions check;
  auto* token_verb = add_token_verb(app, token);
  auto* quote_verb = add_quote_verb(app, quote);
  add_check_verb(app, check);
  app.add_flag("--json", as_json, "Print exactly one JSON object");
  app.set_version_flag("--version", "badge-verifier " BADGED_VERSION);
  try {
    app.parse(verb_first(app, argc, argv));
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return print(refusal(kUsage, "invalid_usage", error.what(), "see badge-verifier --help"),
                 asks_for_json(argc, argv));
  }
  const Outcome outcome = token_verb->parsed()   ? run_token(token)
                          : quote_verb->parsed() ? run_quote(quote)
                                                 : run_check(check);
  return print(outcome, as_json);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "badge-verifier: %s\n", error.what());
    return kUnusable;
  }
}
