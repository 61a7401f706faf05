// Random bytes from OpenSSL's generator (seeded by the kernel).
#pragma once

#include <span>
#include <string>

#include "keystore/bytes.h"

namespace badged::keystore {

// For identifiers that are published (jti, session, nonces). Fills `out`. Throws when the generator
// cannot be seeded: nothing may go on without it.
void fill_random(std::span<std::uint8_t> out);
// The same from the generator meant for secrets that are never published (keys, auth values).
void fill_private_random(std::span<std::uint8_t> out);

}  // namespace badged::keystore
