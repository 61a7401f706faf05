// Starting other programs: arguments are never a shell's, descriptors are named one by one.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "keystore/result.h"

namespace badged::ctl {

// A descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void close() { Fd().swap(*this); }
  void swap(Fd& other) noexcept { std::swap(fd_, other.fd_); }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};
Result<Pipe> make_pipe();  // both ends close-on-exec

struct Program {
  std::vector<std::string> argv;                 // argv[0] is looked up in PATH
  std::vector<std::pair<int, int>> descriptors;  // {ours, the program's}, applied in this order
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours, replacing
};

// No signal is blocked in the program, and SIGPIPE is at its default. Errc::not_found: no such
// program.
Result<pid_t> start(const Program& program);

// waitpid's status as a shell shows it: the exit status, or 128 + the signal.
int exit_status(int wait_status);

// Runs to the end and returns at most `limit` bytes of its standard output; standard error and
// input are /dev/null. Errc::refused when it exits with another status than 0.
Result<std::string> output_of(const std::vector<std::string>& argv, std::size_t limit);

}  // namespace badged::ctl
