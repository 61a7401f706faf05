#include "daemon/ctl/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

extern char** environ;

namespace badged::ctl {
namespace {

// posix_spawn's two option objects, destroyed with their owner.
struct SpawnOptions {
  SpawnOptions() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnOptions() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

std::vector<std::string> merged_environment(const Program& program) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry; ++entry) {
    std::string text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : program.environment)
      replaced = replaced || text.compare(0, name.size() + 1, name + '=') == 0;
    if (!replaced) merged.push_back(std::move(text));
  }
  for (const auto& [name, value] : program.environment) merged.push_back(name + '=' + value);
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail(Errc::unavailable, std::string("make a pipe: ") + std::strerror(errno));
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<pid_t> start(const Program& program) {
  SpawnOptions options;
  for (auto [ours, theirs] : program.descriptors)
    posix_spawn_file_actions_adddup2(&options.actions, ours, theirs);
  // badgectl ignores SIGPIPE; what its own parent ignored (nohup) stays ignored.
  sigset_t none, changed;
  sigemptyset(&none);
  sigemptyset(&changed);
  sigaddset(&changed, SIGPIPE);
  posix_spawnattr_setsigmask(&options.attributes, &none);
  posix_spawnattr_setsigdefault(&options.attributes, &changed);
  posix_spawnattr_setflags(&options.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> argv = program.argv;
  std::vector<std::string> environment = merged_environment(program);
  pid_t pid = 0;
  int error = ::posix_spawnp(&pid, argv[0].c_str(), &options.actions, &options.attributes,
                             pointers(argv).data(), pointers(environment).data());
  if (error != 0)
    return fail(error == ENOENT ? Errc::not_found : Errc::unavailable,
                "start " + program.argv[0] + ": " + std::strerror(error),
                "is it installed, executable and in PATH?");
  return pid;
}

int exit_status(int wait_status) {
  if (WIFSIGNALED(wait_status)) return 128 + WTERMSIG(wait_status);
  return WEXITSTATUS(wait_status);
}

Result<std::string> output_of(const std::vector<std::string>& argv, std::size_t limit) {
  Result<Pipe> out = make_pipe();
  if (out.has_error()) return out.error();
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  Result<pid_t> pid =
      start({argv, {{null.get(), 0}, {out->write.get(), 1}, {null.get(), 2}}, {{"LC_ALL", "C"}}});
  if (pid.has_error()) return pid.error();
  out->write.close();
  std::string text;
  char chunk[4096];
  for (ssize_t n = 0; (n = ::read(out->read.get(), chunk, sizeof chunk)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    text.append(chunk, std::min(static_cast<std::size_t>(n), limit - text.size()));
  }
  int status = 0;
  while (::waitpid(pid.value(), &status, 0) < 0 && errno == EINTR) {
  }
  if (exit_status(status) != 0)
    return fail(Errc::refused,
                "run " + argv[0] + ": it exited with " + std::to_string(exit_status(status)));
  return text;
}

}  // namespace badged::ctl
