#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>

#include "daemon/tokens/limits.h"
#include "keystore/memory_key.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  // The TPM stack writes each expected error to standard error otherwise.
  setenv("TSS2_LOG", "all+NONE", 0);
  badged::keystore::reserve_locked_memory(badged::tokens::limits::kLockedMemory);
  return Catch::Session().run(argc, argv);
}
