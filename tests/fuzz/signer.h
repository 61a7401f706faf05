// A fixed P-256 key that signs what a fuzzer invents. Never a secret: its scalar is 1.
#pragma once

#include <string>
#include <string_view>

#include "attest/jose/jws.h"
#include "keystore/sha256.h"

namespace badged::fuzz {

// Scalar 1: the public key is the base point, and with the nonce 1, too, a signature is arithmetic
// on one number: r = Gx, s = digest + r (mod n). Signing that way is quick and deterministic.
struct Signer {
  attest::PublicKey key;
  Signer() {
    constexpr std::uint8_t x[32] = {0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47,
                                    0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
                                    0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0,
                                    0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96};
    constexpr std::uint8_t y[32] = {0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b,
                                    0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16,
                                    0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce,
                                    0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
    std::copy(std::begin(x), std::end(x), key.x.begin());
    std::copy(std::begin(y), std::end(y), key.y.begin());
  }

  std::string jws(std::string_view header, std::string_view payload) const {
    std::string out;
    attest::append_signing_input(out, header, payload);
    attest::append_signature(out, sign(keystore::sha256(as_bytes(out))));
    return out;
  }

  Signature sign(const Digest& digest) const {
    constexpr std::uint8_t n[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                    0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    Signature out{};
    std::array<std::uint8_t, 33> sum{};
    unsigned carry = 0;
    for (std::size_t i = 32; i-- > 0;) {
      carry += unsigned{digest[i]} + key.x[i];
      sum[i + 1] = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
    sum[0] = static_cast<std::uint8_t>(carry);
    while (at_least(sum, n)) subtract(sum, n);
    std::copy(key.x.begin(), key.x.end(), out.begin());
    std::copy(sum.begin() + 1, sum.end(), out.begin() + 32);
    return out;
  }

 private:
  static bool at_least(const std::array<std::uint8_t, 33>& sum, const std::uint8_t (&n)[32]) {
    if (sum[0] != 0) return true;
    return !std::lexicographical_compare(sum.begin() + 1, sum.end(), n, n + 32);
  }
  static void subtract(std::array<std::uint8_t, 33>& sum, const std::uint8_t (&n)[32]) {
    int borrow = 0;
    for (std::size_t i = 33; i-- > 0;) {
      const int value = int{sum[i]} - (i > 0 ? int{n[i - 1]} : 0) - borrow;
      borrow = value < 0 ? 1 : 0;
      sum[i] = static_cast<std::uint8_t>(value + 256 * borrow);
    }
  }
};

}  // namespace badged::fuzz
