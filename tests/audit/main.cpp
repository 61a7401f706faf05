#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "keystore/memory_key.h"

int main(int argc, char** argv) {
  badged::keystore::reserve_locked_memory(1 << 20);  // of the keys that sign checkpoints
  return Catch::Session().run(argc, argv);
}
