#include "attest/verifier/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace badged::verifier {

namespace {

// Whether the argument is an option of some verb whose value is the argument after it.
bool takes_next(const CLI::App& app, const std::string& argument) {
  if (!argument.starts_with("--") || argument.find('=') != std::string::npos) return false;
  const auto takes = [&](const CLI::App* one) {
    const auto* option = one->get_option_no_throw(argument);
    return option != nullptr && option->get_expected_min() > 0 && option->get_type_size() > 0;
  };
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  return takes(&app) || std::any_of(verbs.begin(), verbs.end(), takes);
}

}  // namespace

std::vector<std::string> verb_first(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (auto at = arguments.begin(); at != arguments.end(); ++at) {
    if (takes_next(app, *at) && at + 1 != arguments.end()) {
      ++at;
    } else if (!at->starts_with("-")) {
      std::rotate(arguments.begin(), at, at + 1);
      break;
    }
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

}  // namespace badged::verifier
