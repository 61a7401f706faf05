// Limits of sessions, tokens and keys, each with its reason.
#pragma once

#include <chrono>
#include <cstddef>

namespace badged::tokens::limits {

using namespace std::chrono_literals;

// Sessions alive at once. Each holds a key in locked memory; at 16,384 that is some MB of locked
// heap. A session needs a living process, so this is far beyond a host of agents.
inline constexpr std::size_t kMaxSessions = 16384;

// Locked memory for private keys, a power of two: 64 bytes for each of kMaxSessions keys, and as
// much again for OpenSSL's temporaries.
inline constexpr std::size_t kLockedMemory = 2 * 1024 * 1024;

// Different tokens that one session keeps for asking again (by audience, scope and details): an
// agent with more targets than this gets new tokens, never an error.
inline constexpr std::size_t kCachedTokensPerSession = 16;

// Tokens whose verification is remembered per session, so that a proof costs one signature.
inline constexpr std::size_t kKnownTokensPerSession = 16;

// Callers that wait for one session's TPM key to be made.
inline constexpr std::size_t kMaxWaitersPerSession = 64;

// A token may be checked by a clock a little behind ours.
inline constexpr std::chrono::seconds kRetireLeeway = 1min;

}  // namespace badged::tokens::limits
