#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "daemon/ctl/verbs.h"

namespace {

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

int stop(const badged::ctl::Stop& stop) {
  using namespace badged::ctl;
  if (stop.exit_status == 0) {
    std::cout << stop.text;
    if (!stop.text.empty() && stop.text.back() != '\n') std::cout << '\n';
    return 0;
  }
  return finish(Failure{Exit::usage, "usage", stop.text, "badgectl --help", {}}, stop.json);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace badged::ctl;
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of a write, not a silent death
  auto parsed = parse({argv + 1, argv + argc},
                      {from_environment("BADGED_SOCKET"), from_environment("BADGED_ADMIN_SOCKET")});
  if (const auto* nothing = std::get_if<Stop>(&parsed)) return stop(*nothing);
  const Options& options = std::get<Options>(parsed);
  try {
    return finish(run(options), options.json);
  } catch (const std::exception& e) {
    return finish(Failure{Exit::unreachable, "internal", e.what(), "this is a bug of badgectl", {}},
                  options.json);
  }
}
