// Limits of the audit log, each with its reason.
#pragma once

#include <chrono>
#include <cstddef>

namespace badged::audit::limits {

// A member comes from a record, a kernel path or a claim of ours; paths are at most 4096 bytes.
inline constexpr std::size_t kMaxTextMember = 4096;

// A line has at most a dozen members; verification refuses longer ones instead of reading on.
inline constexpr std::size_t kMaxLine = 64 * 1024;

// Entries that wait for one fsync. 64 busy connections fill 64; beyond this the disk is stuck and a
// caller is told so early.
inline constexpr std::size_t kMaxPending = 4096;

// Group commit: while the disk is busy with one group the next one gathers. A sync costs the
// processor 100 to 200 us, as much as two or three tokens. So right after a group of kCrowd or more
// the next waits for as many, at most kGroup, but no longer than a sync takes.
inline constexpr std::size_t kCrowd = 12;
inline constexpr std::size_t kGroup = 24;
inline constexpr std::chrono::microseconds kGroupWait{300};

// Equal denials per uid and reason: the first at once, then one line in this span with a count.
inline constexpr std::chrono::seconds kDenialWindow{60};

// Distinct (uid, reason) pairs remembered within a window. One user may own 65,536 sub-uids: past
// this, denials are counted in one common line.
inline constexpr std::size_t kMaxDenialKinds = 1024;

// The same for listed agents and admins, whose number the records bound: about 20 reasons for each
// of 100 agents that are denied everything in one minute.
inline constexpr std::size_t kMaxListedDenialKinds = 2048;

// Lines of revocations that the disk did not take, kept until it does: 150 kB. Agents fill it with
// their own tokens alone, at the rate of their questions; past it they are counted.
inline constexpr std::size_t kMaxOwed = 256;

// Lines between a signed head and the checkpoint line that carries it: those of one TPM signature's
// time, with room for a TPM that is busy for seconds.
inline constexpr std::size_t kCheckpointReach = 256 * 1024;

// `audit tail` answers at most this many lines and bytes at once; a reader asks again with --since.
inline constexpr std::size_t kMaxTailLines = 10000;
inline constexpr std::size_t kMaxTailBytes = 4 * 1024 * 1024;

}  // namespace badged::audit::limits
