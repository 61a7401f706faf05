// Limits of sessions, tokens and keys, each with its reason.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

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

// Proofs of bound subject tokens within their two minutes: 540 a second, 10 MB when full.
inline constexpr std::size_t kSubjectProofs = 65536;
// Of one agent: its part of them, by the number of records, but never less than this, two a second.
// So nobody can take another's part where there are 256 records or fewer; where there are more, it
// takes 256 agents that all exchange at their limit.
inline constexpr std::size_t kSubjectProofsEach = 256;

// Callers that wait for one session's TPM key to be made.
inline constexpr std::size_t kMaxWaitersPerSession = 64;

// Places in the status list that are reserved with one write to disk: at 20,000 new tokens a second
// that is five writes, and a restart leaves at most so many unused.
inline constexpr std::uint32_t kStatusBlock = 4096;

// 2^23 unexpired tokens at once: 1 MiB of status list, 200 MB of ledger. 20,000 new tokens a second
// that live 5 minutes are 6 million.
inline constexpr std::uint32_t kStatusBlocks = 2048;

// Of the published list, behind the last block in use: three seconds at 20,000 tokens a second.
// When half of them are in use, a new list is due.
inline constexpr std::uint32_t kStatusBlocksAhead = 16;

// The next block is reserved when the open one has no more places than this, so that no token waits
// for the disk: 50 ms at 20,000 a second.
inline constexpr std::size_t kStatusPlacesAhead = 1024;

// A reserved block takes tokens for an hour at least, whatever their lifetime. Then another is
// reserved: one write in an hour where few tokens are made.
inline constexpr std::chrono::seconds kStatusBlockUse = 1h;

// Resource servers fetch the list anew after this long (`ttl`); it is signed again twice as often,
// and good for an hour: they go on for so long when badged is down, then refuse.
inline constexpr std::chrono::seconds kStatusListTtl = 5min;
inline constexpr std::chrono::seconds kStatusListLife = 1h;

// How far the clock may be ahead when badged starts without a token being forgotten: a wrong time
// zone is 14 hours at most. As much more of the log may be read, and its tokens are kept for as
// long, where the clock was behind instead.
inline constexpr std::chrono::seconds kClockAhead = 24h;

// A token may be checked by a clock a little behind ours.
inline constexpr std::chrono::seconds kRetireLeeway = 1min;

}  // namespace badged::tokens::limits
