#include "daemon/peers/refusal.h"

#include <cerrno>
#include <cstring>
#include <ostream>

namespace badged::peers {

namespace {

struct Row {
  PeerRefusal reason;
  Errc code;
  bool finding;
  const char* name;
  const char* what;
  const char* hint;
};

constexpr const char* kRetry = "connect again";
constexpr const char* kOwnConnection =
    "each process makes a connection of its own; do not pass or inherit one";

constexpr Row kRows[] = {
    {PeerRefusal::process_exited, Errc::changed, false, "process-exited",
     "the process that connected has exited", ""},
    {PeerRefusal::process_execed, Errc::changed, true, "process-execed",
     "the process that connected has executed a program since", "connect after exec, not before"},
    {PeerRefusal::process_ids_changed, Errc::changed, true, "process-ids-changed",
     "the process changed its uid or gid after it was admitted", "change ids before connecting"},
    {PeerRefusal::ids_differ, Errc::refused, true, "ids-differ",
     "real, effective, saved and file system ids of the process are not all the same",
     "run the agent under one uid and gid, without set-id programs"},
    {PeerRefusal::user_namespace, Errc::refused, true, "user-namespace",
     "the process is in another user namespace than PID 1",
     "run the agent on the host, without PrivateUsers= and not in a user namespace"},
    {PeerRefusal::pid_namespace, Errc::refused, true, "pid-namespace",
     "the process is in another pid namespace than PID 1",
     "run the agent in the host's pid namespace"},
    {PeerRefusal::identity_in_doubt, Errc::busy, false, "identity-in-doubt",
     "this kernel cannot prove that the process is the one that connected", kRetry},
    {PeerRefusal::process_unreadable, Errc::unavailable, false, "process-unreadable",
     "the process cannot be looked at",
     "badged needs CAP_SYS_PTRACE and a /proc that shows others"},
    {PeerRefusal::too_many_processes, Errc::exhausted, false, "too-many-processes",
     "too many processes are connected", "try again when some have ended"},
    {PeerRefusal::foreign_message_sender, Errc::changed, true, "foreign-message-sender",
     "a message came from another process than the one that connected", kOwnConnection},
    {PeerRefusal::message_without_sender, Errc::refused, true, "message-without-sender",
     "a message came without the kernel's word on its sender", kRetry},
    {PeerRefusal::passed_descriptor, Errc::refused, true, "passed-descriptor",
     "a message carried a descriptor", "send bytes only"},
    {PeerRefusal::no_unit, Errc::refused, false, "no-unit",
     "the process is in no service of the system manager",
     "start the agent as a system service; user services and processes in delegated cgroups do not "
     "count"},
    {PeerRefusal::not_main_process, Errc::refused, true, "not-main-process",
     "the process is not the main process of its unit",
     "only the unit's main process may ask; main_process = false in the record opens it to all"},
    {PeerRefusal::main_process_open, Errc::refused, false, "main-process-open",
     "any process of the unit could claim to be its main process",
     "remove NotifyAccess=all and PIDFile= from the unit"},
    {PeerRefusal::main_process_unset, Errc::busy, false, "main-process-unset",
     "the system manager names no main process of the unit", "try again once the unit is started"},
    {PeerRefusal::unit_changed, Errc::changed, false, "unit-changed",
     "the unit was started anew since the process was admitted", kRetry},
    {PeerRefusal::manager_unavailable, Errc::unavailable, false, "manager-unavailable",
     "the system manager does not answer", "check the system bus and /run/systemd/private"},
    {PeerRefusal::executable_not_regular, Errc::refused, true, "executable-not-regular",
     "the executable is no regular file", "use a plain executable"},
    {PeerRefusal::executable_not_local, Errc::refused, false, "executable-not-local",
     "the executable is on FUSE, a network file system or a mount that is not visible",
     "keep the agent's executable on a local file system of the host"},
    {PeerRefusal::executable_too_large, Errc::refused, false, "executable-too-large",
     "the executable is too large to hash", "an executable may have 512 MiB"},
    {PeerRefusal::executable_changed, Errc::changed, true, "executable-changed",
     "the executable is another file than at admission, or changed while it was read",
     "restart the agent after an update"},
    {PeerRefusal::executable_unreadable, Errc::unavailable, false, "executable-unreadable",
     "the executable cannot be read", "badged needs CAP_DAC_READ_SEARCH for unreadable files"},
    {PeerRefusal::busy, Errc::busy, false, "busy", "too much is under way", "try again"},
    {PeerRefusal::kernel_failure, Errc::internal, false, "kernel-failure", "a system call failed",
     ""},
};

const Row& row(PeerRefusal reason) {
  for (const Row& each : kRows) {
    if (each.reason == reason) return each;
  }
  return kRows[std::size(kRows) - 1];
}

}  // namespace

bool is_shortage(int error_number) {
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOMEM;
}

const char* to_string(PeerRefusal reason) {
  return row(reason).name;
}

bool is_finding(PeerRefusal reason) {
  return row(reason).finding;
}

Refusal refuse(PeerRefusal reason, std::string_view detail) {
  const Row& found = row(reason);
  Refusal refusal;
  refusal.code = found.code;
  refusal.reason = reason;
  refusal.what = std::string("identify the caller: ") + found.what;
  if (!detail.empty()) refusal.what.append(" (").append(detail).append(")");
  refusal.hint = found.hint;
  return refusal;
}

Refusal refuse_errno(PeerRefusal reason, std::string_view call, int error_number) {
  char buffer[128];
  const char* text = ::strerror_r(error_number, buffer, sizeof buffer);
  if (is_shortage(error_number)) reason = PeerRefusal::busy;
  return refuse(reason, std::string(call) + ": " + text);
}

std::ostream& operator<<(std::ostream& out, const Refusal& refusal) {
  return out << to_string(refusal.reason) << ": " << refusal.what;
}

Refusal refuse(Liveness liveness) {
  switch (liveness) {
    case Liveness::exited:
      return refuse(PeerRefusal::process_exited);
    case Liveness::execed:
      return refuse(PeerRefusal::process_execed);
    case Liveness::ids_changed:
      return refuse(PeerRefusal::process_ids_changed);
    case Liveness::same:
      break;
  }
  return refuse(PeerRefusal::kernel_failure, "refused without a reason");
}

}  // namespace badged::peers
