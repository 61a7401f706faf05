#include "keystore/random.h"

#include <openssl/rand.h>

#include <stdexcept>

namespace badged::keystore {

void fill_random(std::span<std::uint8_t> out) {
  if (RAND_bytes_ex(nullptr, out.data(), out.size(), 0) != 1)
    throw std::runtime_error("get random bytes: the generator cannot be seeded");
}

void fill_private_random(std::span<std::uint8_t> out) {
  if (RAND_priv_bytes_ex(nullptr, out.data(), out.size(), 0) != 1)
    throw std::runtime_error("get random bytes: the generator cannot be seeded");
}

}  // namespace badged::keystore
