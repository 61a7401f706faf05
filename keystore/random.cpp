#include "keystore/random.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace badged::keystore {

namespace {

// One draw of the generator costs about a microsecond, whatever its size: identifiers are cut from
// draws of this many bytes.
constexpr std::size_t kPool = 1024;

void draw(std::span<std::uint8_t> out) {
  if (RAND_bytes_ex(nullptr, out.data(), out.size(), 0) != 1)
    throw std::runtime_error("get random bytes: the generator cannot be seeded");
}

}  // namespace

void fill_random(std::span<std::uint8_t> out) {
  thread_local std::array<std::uint8_t, kPool> pool;
  thread_local std::size_t used = kPool;
  if (out.size() > kPool / 4) return draw(out);
  if (used + out.size() > kPool) {
    draw(pool);
    used = 0;
  }
  std::copy_n(pool.begin() + static_cast<std::ptrdiff_t>(used), out.size(), out.begin());
  used += out.size();
}

void fill_private_random(std::span<std::uint8_t> out) {
  if (RAND_priv_bytes_ex(nullptr, out.data(), out.size(), 0) != 1)
    throw std::runtime_error("get random bytes: the generator cannot be seeded");
}

}  // namespace badged::keystore
