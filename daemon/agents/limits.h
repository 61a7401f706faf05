// Limits of records and configuration, each with its reason. What strangers send is bounded in
// front; these bound files that an admin or a pipeline writes, so that a mistake stays small.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace badged::agents {

// A record by hand is under 2 KiB. Also bounds the depth that the TOML parser can be driven to.
constexpr std::size_t kMaxRecordBytes = 32 * 1024;
// Start-up stays under a second and the set within some tens of MiB.
constexpr std::size_t kMaxRecords = 16'384;
// What a directory may hold besides records before it is taken for the wrong one.
constexpr std::size_t kMaxEntries = 2 * kMaxRecords;
constexpr std::size_t kMaxNameBytes = 63;   // one DNS label, and a SPIFFE path segment
constexpr std::size_t kMaxTextBytes = 256;  // owner, purpose, a system's name: one line of a screen
constexpr std::size_t kMaxUnitNameBytes = 255;  // systemd's UNIT_NAME_MAX - 1
constexpr std::size_t kMaxPathBytes = 4095;     // PATH_MAX - 1
constexpr std::size_t kMaxAudienceBytes = 512;  // goes into every token
constexpr std::size_t kMaxUrlBytes = 2'048;     // what HTTP servers accept as a request target
constexpr std::size_t kMaxScopeBytes = 128;     // one scope token
constexpr std::size_t kMaxGrants = 64;          // more is several agents
constexpr std::size_t kMaxScopesPerGrant = 64;  // keeps a token under 8 KiB, a usual header limit
constexpr std::size_t kMaxUrlsPerGrant = 64;    // every proof compares with all of them
constexpr std::size_t kMaxDetailTypes = 16;     // authorization_details types per grant
constexpr std::size_t kMaxDigests = 32;         // versions of one executable that may run
constexpr std::size_t kMaxSystems = 64;
constexpr std::size_t kMaxSubjectIssuers = 16;  // a subject's key is looked for in each's set
constexpr std::size_t kMaxIssuerBytes = 512;    // `iss`, in every token
// Longer is no token but a password. A tier's limit is far below; see tiers.h.
constexpr std::chrono::seconds kMaxDuration{24 * 60 * 60};
// A file with more mistakes than this is not a record; a directory stops being reported there too.
constexpr std::size_t kMaxProblemsPerFile = 100;
constexpr std::size_t kMaxProblems = 10'000;

}  // namespace badged::agents
