// base64url without padding (RFC 4648 5, RFC 7515 appendix C), strict both ways.
#pragma once

#include <string>
#include <string_view>

#include "keystore/bytes.h"
#include "keystore/result.h"

namespace badged::attest {

constexpr std::size_t base64url_length(std::size_t bytes) {
  return (bytes * 4 + 2) / 3;
}

void append_base64url(std::string& out, ByteView bytes);
std::string base64url(ByteView bytes);

// Refuses padding, white space, other alphabets, lengths of 4n+1 and non-zero trailing bits: every
// value has exactly one text. `max_bytes` bounds the decoded size.
Result<Bytes> decode_base64url(std::string_view text, std::size_t max_bytes);

// For values of fixed size (coordinates, digests, signatures): false unless `text` is exactly that.
bool decode_base64url(std::string_view text, std::span<std::uint8_t> exactly);

}  // namespace badged::attest
