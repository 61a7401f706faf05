// What badgectl accepts, and why not more.
#pragma once

#include <chrono>
#include <cstddef>

namespace badged::ctl::limits {

// The longest wait for one answer: a queue of TPM signatures at ten a second ends well before.
constexpr std::chrono::seconds call_deadline{30};
// badged's own header lines are a few hundred bytes.
constexpr std::size_t answer_header_bytes = 16 * 1024;
// A thousand records or audit lines of 4 KiB each, with room.
constexpr std::size_t answer_body_bytes = 8 * 1024 * 1024;
// A token is about 1 KiB; badged refuses longer ones than this itself.
constexpr std::size_t token_file_bytes = 16 * 1024;
// sockaddr_un::sun_path, less its terminator.
constexpr std::size_t socket_path_bytes = 107;
// curl: the resource's answer, where it has to be kept whole to become one JSON object.
constexpr std::size_t resource_body_bytes = 1024 * 1024;
// curl: what a resource may send before its answer's header block is complete.
constexpr std::size_t resource_header_bytes = 256 * 1024;
// exec: connections of CMD and its children at once; badged bounds them per uid as well.
constexpr std::size_t relay_connections = 64;
// exec: refused callers that may still read why; the oldest makes room.
constexpr std::size_t relay_refused = 16;
// exec: bytes in flight per direction of one connection.
constexpr std::size_t relay_buffer_bytes = 16 * 1024;
// exec: parents looked up from a caller to badgectl before the answer is "not ours".
constexpr int relay_ancestors = 64;
// doctor: below this an audit line may soon not become durable, and issuance stops.
constexpr unsigned long long disk_free_warn_bytes = 512ULL * 1024 * 1024;
constexpr unsigned long long disk_free_bad_bytes = 16ULL * 1024 * 1024;

}  // namespace badged::ctl::limits
