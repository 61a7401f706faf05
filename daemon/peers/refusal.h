// Why a caller, a message or an executable is refused: a closed set, for answers, audit and
// findings.
//
// A Refusal is an Error with its reason. Neither `what` nor `hint` ever holds a byte that a caller
// chose (no socket names, no file names), so both may be logged as they are.
#pragma once

#include <boost/system/result.hpp>
#include <iosfwd>
#include <string>
#include <string_view>

#include "daemon/peers/peer.h"
#include "keystore/result.h"

namespace badged::peers {

enum class PeerRefusal {
  // the process
  process_exited,       // gone, so its pid says nothing any more (H3)
  process_execed,       // runs another program, or the same one again (H2)
  process_ids_changed,  // uid or gid are no longer those it was admitted with (H4)
  ids_differ,           // real, effective, saved and file system ids are not all the same (H4)
  user_namespace,       // not in PID 1's user namespace (H4)
  pid_namespace,        // not in PID 1's pid namespace (H4)
  identity_in_doubt,    // older kernels only: the pid may have been reused; a retry helps
  process_unreadable,   // /proc/PID could not be read: a capability is missing
  too_many_processes,   // our bound on processes known at once
  // its messages
  foreign_message_sender,  // the kernel names another process or uid as the sender (H1)
  message_without_sender,  // no credentials came with the message
  passed_descriptor,       // a descriptor came with the message (H1)
  // its unit
  no_unit,              // not a process of a service of PID 1's manager
  not_main_process,     // a child of the unit's main process (H4)
  main_process_open,    // NotifyAccess=all or PIDFile=: a child can claim to be the main process
  main_process_unset,   // PID 1 names no main process (yet)
  unit_changed,         // another invocation than the one it was admitted with
  manager_unavailable,  // PID 1's manager does not answer
  // its executable
  executable_not_regular,  // a fifo, a device, a directory
  executable_not_local,    // FUSE, a network file system, or a mount that we cannot see
  executable_too_large,
  executable_changed,  // not the file that the process was started from, or written while read
  executable_unreadable,
  // ours
  busy,            // a queue is full or a deadline passed; a retry helps
  kernel_failure,  // a system call failed in a way that no caller explains
};

// "process-exited", "foreign-message-sender", ...
const char* to_string(PeerRefusal reason);

// Denials that no well-behaved program causes: record them as a finding, not only as a denial.
bool is_finding(PeerRefusal reason);

struct Refusal : Error {
  PeerRefusal reason = PeerRefusal::kernel_failure;
};

// "process-exited: identify the caller: ...", as in a journal line.
std::ostream& operator<<(std::ostream& out, const Refusal& refusal);

// `detail` is appended to the sentence of the reason. It must not come from a caller.
Refusal refuse(PeerRefusal reason, std::string_view detail = {});
// Whether a call failed because we have no descriptors or memory left: that says nothing of the
// caller.
bool is_shortage(int error_number);
// For a failed system call: the sentence of the reason, `call` and strerror(error_number). For a
// shortage the reason is `busy`, whatever was given.
Refusal refuse_errno(PeerRefusal reason, std::string_view call, int error_number);
// Why a process that is no longer `same` is refused.
Refusal refuse(Liveness liveness);

[[noreturn]] inline void throw_exception_from_error(const Refusal& e,
                                                    const boost::source_location&) {
  throw ErrorException(e);
}

// Slices to an Error where only that is wanted: `Error error = result.error();`
template <class T>
using PeerResult = boost::system::result<T, Refusal>;

}  // namespace badged::peers
