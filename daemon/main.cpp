// badged: parse, build, run, exit.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "daemon/agents/record_set.h"
#include "daemon/config/config.h"
#include "daemon/daemon.h"
#include "daemon/journal.h"
#include "daemon/version.h"

namespace {

// 0: both fine. 3: something is wrong, and named.
int check(const std::string& file) {
  auto loaded = badged::config::load_config(file);
  auto problems = std::move(loaded.problems);
  if (loaded.config) {
    const auto accounts = badged::agents::host_accounts();
    const auto report =
        badged::agents::load_directory(loaded.config->agents_dir, loaded.config->tiers, *accounts);
    problems.insert(problems.end(), report.problems.begin(), report.problems.end());
    badged::tokens::SubjectIssuers::load(loaded.config->subject_issuers, file, problems);
    std::cout << file << ": " << report.good->records().size() << " good records of "
              << report.files << " in " << loaded.config->agents_dir << '\n';
  }
  for (const auto& problem : problems) std::cerr << badged::agents::to_text(problem);
  return badged::agents::has_errors(problems) ? 3 : 0;
}

// Each connection takes a descriptor and each process four: the soft limit of a shell (1024) is
// for programs that use select(). And a core would hold tokens; systemd's LimitCORE= says so again.
void prepare_process() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
}

int serve(const std::string& file) {
  prepare_process();
  auto loaded = badged::config::load_config(file);
  for (const auto& problem : loaded.problems) std::cerr << badged::agents::to_text(problem);
  if (!loaded.config) return 3;
  return badged::Daemon(std::move(*loaded.config)).run();
}

}  // namespace

int main(int argc, char** argv) {
  // What the TPM software says at each failure is said by the key store's states, in our words.
  ::setenv("TSS2_LOG", "all+NONE", 0);
  CLI::App app{
      "badged: holds agents' token keys in the TPM and mints tokens bound to the process "
      "that asks"};
  std::string file(badged::config::kDefaultFile);
  bool only_check = false;
  app.add_option("--config", file, "configuration file")->capture_default_str();
  app.add_flag("--check", only_check, "read configuration and records, say what is wrong, exit");
  app.set_version_flag("--version", badged::kVersion);
  try {
    app.parse(argc, argv);
    return only_check ? check(file) : serve(file);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const badged::ErrorException& e) {
    badged::log(badged::Level::error,
                e.error.what + (e.error.hint.empty() ? "" : " (" + e.error.hint + ")"));
    return e.error.code == badged::Errc::malformed ? 3 : 4;
  } catch (const std::exception& e) {
    badged::log(badged::Level::error, e.what());
    return 4;
  }
}
