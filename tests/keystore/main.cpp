#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <cstdlib>

#include "keystore/memory_key.h"

int main(int argc, char** argv) {
  // The TPM stack writes each expected error to standard error otherwise.
  setenv("TSS2_LOG", "all+NONE", 0);
  badged::keystore::reserve_locked_memory(1 << 21);
  return Catch::Session().run(argc, argv);
}
