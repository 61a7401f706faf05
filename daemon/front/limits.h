// Limits of what strangers may send and hold, each with its reason.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace badged::front::limits {

using namespace std::chrono_literals;

// Header section of a request: an HTTP client of ours sends 200 bytes; 8 KiB is what servers take.
inline constexpr std::size_t kMaxHeader = 8 * 1024;
// Header fields: bounds the work per byte.
inline constexpr std::size_t kMaxHeaderFields = 64;
// Body: a token exchange carries a subject token (16 KiB) and details (8 KiB), form-encoded.
inline constexpr std::size_t kMaxBody = 64 * 1024;
// Fields of one form or JSON object; twice what any call knows.
inline constexpr std::size_t kMaxFields = 32;
// Members and elements of a JSON body: four PCR banks of 24, and as many fields.
inline constexpr std::size_t kMaxMembers = 128;
// One decoded field: the largest is an access token or authorization_details.
inline constexpr std::size_t kMaxField = 16 * 1024;

// Connections in all: each costs a descriptor and at most 4 kB.
inline constexpr std::size_t kMaxConnections = 16384;
// Of those, kept for callers that have a record, and for admins: strangers cannot use them up.
inline constexpr std::size_t kKeptForListed = 4096;
inline constexpr std::size_t kKeptForAdmins = 64;
// One uid without a record has no business with more; one user may own 65,536 sub-uids, so the
// global cap above holds too.
inline constexpr std::size_t kMaxPerStrangerUid = 64;
// One listed uid: a busy agent's connection pool, ten thousand idle ones included.
inline constexpr std::size_t kMaxPerListedUid = 12000;

// Accepting goes on this long before connections get their turn: what a request of theirs waits at
// most. One admission takes 100 us, turning a connection away 8.
inline constexpr auto kAcceptSlice = 60us;
// Between slices while strangers are turned away. A flood so costs a sixth of one processor and
// leaves the backlog at 15,000 connections a second. Much longer, and the backlog stays full: a
// listed caller's connect() then waits, or fails with EAGAIN where it does not wait. Much shorter,
// and who floods is never slowed and takes the processor from the callers.
inline constexpr auto kFloodPause = 400us;

// Connections and requests of callers without a record, of one uid and of all: each costs about
// 100 us, so all of them together take a tenth of one processor. A burst is what one uid may hold.
inline constexpr int kStrangerRate = 100;  // a second
inline constexpr int kStrangerBurst = 64;
inline constexpr int kStrangersRate = 1000;
inline constexpr int kStrangersBurst = 256;
// A stranger that is ahead of its pace waits this long before it is turned away instead.
inline constexpr auto kMaxStrangerWait = 1s;
// Uids whose pace is known apart, 40 bytes each; more share one pace.
inline constexpr std::size_t kMaxStrangerUids = 4096;

// From a request's first byte to its last, and for the answer to be taken: local callers need
// microseconds; a stopped process must not hold buffers.
inline constexpr auto kRequestDeadline = 10s;
inline constexpr auto kAnswerDeadline = 10s;
// A stranger's connection that says nothing.
inline constexpr auto kStrangerIdle = 30s;
// A caller that was checked this recently is not checked again before its answer: no check can be
// fresher than the time from it to the write.
inline constexpr auto kCheckFreshness = 100us;
// At stop: what is in flight may finish.
inline constexpr auto kStopDeadline = 5s;

}  // namespace badged::front::limits
