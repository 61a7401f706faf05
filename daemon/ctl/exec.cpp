// badgectl exec -- CMD: badgectl is the process that badged knows; CMD and its children ask through
// a private socket. No token is put anywhere: they ask for their own, of this session.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "daemon/ctl/relay.h"
#include "daemon/ctl/verbs.h"

namespace badged::ctl {
namespace {

constexpr int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

Result<Fd> signal_descriptor() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  for (int signal : forwarded) sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0)
    return fail(Errc::internal, std::string("block signals: ") + std::strerror(errno));
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail(Errc::internal, std::string("make a signalfd: ") + std::strerror(errno));
  return fd;
}

// Runs the relay until the command ends; descendants it leaves behind are reaped on the way.
class Supervisor {
 public:
  Supervisor(pid_t command, Fd signals, Relay relay)
      : command_(command), signals_(std::move(signals)), relay_(std::move(relay)) {}

  Result<int> run() {
    while (!status_) {
      std::vector<pollfd> entries{{signals_.get(), POLLIN, 0}};
      relay_.wait_for(entries);
      if (::poll(entries.data(), entries.size(), -1) < 0) {
        if (errno == EINTR) continue;
        return fail(Errc::internal, std::string("wait for the command: ") + std::strerror(errno));
      }
      if (entries[0].revents & POLLIN) take_signals();
      relay_.step(entries.data() + 1);
    }
    return *status_;
  }

 private:
  void take_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      // A key on the terminal reaches the whole foreground group: the command has it already.
      bool by_terminal = info.ssi_code == SI_KERNEL;
      if (info.ssi_signo == SIGCHLD)
        reap();
      else if (!by_terminal && !status_)
        ::kill(command_, static_cast<int>(info.ssi_signo));
    }
  }

  void reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
      if (pid == command_) status_ = exit_status(status);
  }

  pid_t command_;
  Fd signals_;
  Relay relay_;
  std::optional<int> status_;
};

// Opens the session, so that a refusal is said here rather than by whatever CMD makes of it.
std::optional<Failure> refused(const Options& options) {
  auto client = agent_client(options);
  if (client.has_error()) return client.error();
  auto answer = call(client.value(), {"GET", "/v1/whoami", {}, {}, false});
  if (answer.has_error()) return answer.error();
  return {};
}

Failure unreachable(const Error& error) {
  Failure failure = to_failure(error);
  failure.exit = Exit::unreachable;
  return failure;
}

}  // namespace

Outcome exec(const Options& options) {
  if (auto failure = refused(options)) return *failure;
  Result<Fd> signals = signal_descriptor();
  if (signals.has_error()) return unreachable(signals.error());
  // Orphans of the command become our children, not PID 1's, and so stay recognisable.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    return unreachable(fail(Errc::internal, "become subreaper"));
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  Result<PrivateSocket> socket = PrivateSocket::make(runtime_dir ? runtime_dir : "");
  if (socket.has_error()) return unreachable(socket.error());

  Result<pid_t> command = start({options.rest, {}, {{"BADGED_SOCKET", socket->path()}}});
  if (command.has_error()) return unreachable(command.error());
  Supervisor supervisor(command.value(), std::move(signals.value()),
                        Relay(socket->fd(), options.socket));
  Result<int> status = supervisor.run();
  if (status.has_error()) return unreachable(status.error());
  Answer answer;
  answer.printed = true;
  answer.exit_status = status.value();
  return answer;
}

}  // namespace badged::ctl
