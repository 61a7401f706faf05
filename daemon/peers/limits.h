// The bounds of peers/, each with its reason.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace badged::peers {

// Processes known at once. Each costs four descriptors and about 1.5 kB; the front bounds them per
// uid, this bounds the sum (and with it a sweep: 8192 processes take about 50 ms in each second).
constexpr std::size_t kMaxProcesses = 8192;

// exec must end a session within about a second; the sweep is cut in slices so that no slice delays
// a request by more than a few milliseconds.
constexpr std::chrono::milliseconds kSweepEvery{1000};
constexpr int kSweepSlices = 20;

// Longest /proc file read for an identity: status is about 1.5 kB, stat 400 bytes.
constexpr std::size_t kMaxProcFile = 8192;
// mountinfo of a host with thousands of containers; read on a worker.
constexpr std::size_t kMaxMountInfo = 4 << 20;
// Older path only: descriptors of a caller looked through for its end of the connection.
constexpr std::size_t kMaxDescriptorsSearched = 4096;

// systemd: UNIT_NAME_MAX.
constexpr std::size_t kMaxUnitName = 255;

// One system bus call takes well under 1 ms; a manager busy reloading units takes seconds.
constexpr std::chrono::milliseconds kManagerDeadline{3000};
constexpr std::size_t kMaxManagerQueries = 256;              // distinct units asked about at once
constexpr std::size_t kMaxWaitersPerQuery = 1024;            // callers that share one answer
constexpr std::size_t kMaxMainProcesses = 1024;              // answers kept
constexpr std::chrono::seconds kMainProcessKept{30};         // an answer that names the caller
constexpr std::chrono::milliseconds kMainProcessRetry{500};  // before a stranger causes a new query

// A Node or Electron binary is 100 to 200 MB; 512 MB take about 1.5 s to hash on one core.
constexpr std::uint64_t kMaxExecutable = 512ULL << 20;
constexpr int kHashWorkers = 2;            // the machine has other things to do
constexpr std::size_t kMaxHashQueue = 64;  // distinct files waiting
constexpr std::size_t kMaxDigests = 1024;  // answers kept, by device, inode and ctime
constexpr std::chrono::milliseconds kHashDeadline{10000};  // queue and reading together
// A ctime as young as this may hide a later change within the same clock tick: hash, do not keep.
constexpr std::chrono::milliseconds kYoungFile{2000};

}  // namespace badged::peers
