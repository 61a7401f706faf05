// What knowing the caller costs: check(), check_thoroughly(), admit() of a known and of a new
// process.
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdio>

#include "daemon/peers/census.h"
#include "daemon/peers/stream.h"

using namespace badged::peers;

namespace {

// CPU time, so that a busy machine does not count.
double cpu_microseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

template <class Work>
void measure(const char* name, int rounds, Work work) {
  const double start = cpu_microseconds();
  for (int i = 0; i < rounds; ++i) work();
  std::printf("%-44s %8.2f us\n", name, (cpu_microseconds() - start) / rounds);
}

// A connection whose other end was made by a process of its own.
struct Child {
  int fd = -1;
  pid_t pid = 0;
  Child() {
    int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sa_family_t family = AF_UNIX;
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::bind(listener, reinterpret_cast<sockaddr*>(&family), sizeof family) != 0) std::abort();
    if (::listen(listener, 1) != 0) std::abort();
    if (::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) std::abort();
    pid = ::fork();
    if (pid == 0) {
      const int out = ::socket(AF_UNIX, SOCK_STREAM, 0);
      if (::connect(out, reinterpret_cast<sockaddr*>(&address), length) != 0) ::_exit(1);
      for (;;) ::pause();
    }
    fd = ::accept(listener, nullptr, nullptr);
    ::close(listener);
  }
  ~Child() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    ::close(fd);
  }
};

void run(const char* path, CensusOptions options) {
  boost::asio::io_context io;
  Census census(io, options);
  const Child child;
  std::printf("-- %s\n", path);
  measure("admit, a new process", 5000, [&] { (void)census.admit(child.fd).value(); });
  const auto process = census.admit(child.fd).value();
  measure("admit, a known process", 20000, [&] { (void)census.admit(child.fd).value(); });
  measure("check", 200000, [&] { (void)process->check(); });
  measure("check_thoroughly", 50000, [&] { (void)process->check_thoroughly(); });
}

}  // namespace

int main() {
  run("SO_PEERPIDFD", {});
  CensusOptions older;
  older.force_older_path = true;
  run("SO_PEERCRED and pidfd_open", older);
  std::printf("sizeof Stream %zu, Process %zu bytes\n", sizeof(Stream), sizeof(Process));
  return 0;
}
