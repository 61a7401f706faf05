// A small server made of daemon/peers alone: accepts on a Unix socket and says in JSON lines who
// called, or why not. The tests drive it with real processes.
//
// stdout: {"listening":true}, then {"ended":WHY,"pid":N} whenever a known process ends.
// Connection: one line about the caller at once; then one line for each request line: "facts",
// "digest", "main", "thorough", "count".
// stdin (with --manual): each "accept" line accepts one connection; else it accepts by itself.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <set>
#include <string>

#include "daemon/peers/census.h"
#include "daemon/peers/executable_digest.h"
#include "daemon/peers/main_process.h"
#include "daemon/peers/stream.h"

namespace asio = boost::asio;
using namespace badged;
using namespace badged::peers;
using Descriptor = asio::posix::stream_descriptor;

namespace {

struct Options {
  std::string socket_path;
  bool manual = false;
  bool sweep = true;
  CensusOptions census;
  DigestOptions digest;
};

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string describe(const ProcessFacts& facts) {
  return "{\"pid\":" + std::to_string(facts.pid) + ",\"uid\":" + std::to_string(facts.uid) +
         ",\"gid\":" + std::to_string(facts.gid) + ",\"executable\":" + quoted(facts.executable) +
         ",\"device\":" + std::to_string(facts.executable_id.device) +
         ",\"inode\":" + std::to_string(facts.executable_id.inode) +
         ",\"host_mounts\":" + (facts.host_mount_namespace ? "true" : "false") +
         ",\"unit\":" + quoted(facts.unit.name) +
         ",\"invocation\":" + quoted(facts.unit.invocation_id) + "}\n";
}

std::string describe(const Refusal& refusal) {
  return "{\"refused\":" + quoted(to_string(refusal.reason)) +
         ",\"finding\":" + (is_finding(refusal.reason) ? "true" : "false") +
         ",\"what\":" + quoted(refusal.what) + ",\"hint\":" + quoted(refusal.hint) + "}\n";
}

std::string hex(const Digest& digest) {
  std::string out;
  char two[3];
  for (const std::uint8_t byte : digest) {
    std::snprintf(two, sizeof two, "%02x", byte);
    out += two;
  }
  return out;
}

struct Parts {
  asio::io_context& io;
  Census census;
  MainProcesses main_processes;
  ExecutableDigests digests;
  std::array<std::uint8_t, 4096> scratch;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Parts& parts, Stream stream) : parts_(parts), stream_(std::move(stream)) {}

  void start() {
    listening_ = stream_.process().on_end([weak = weak_from_this()](Liveness why) {
      if (const auto self = weak.lock()) self->finish(refuse(why));
    });
    say(describe(stream_.process().facts()));
    wait();
  }

 private:
  void wait() {
    if (finished_) return;
    stream_.descriptor().async_wait(Descriptor::wait_read,
                                    [self = shared_from_this()](boost::system::error_code error) {
                                      if (!error) self->readable();
                                    });
  }

  void readable() {
    const auto moved = stream_.read_some(parts_.scratch);
    if (!moved) return finish(moved.error());
    if (moved->state == StreamState::closed) return stream_.close();
    if (moved->state == StreamState::ready) {
      input_.append(reinterpret_cast<const char*>(parts_.scratch.data()), moved->bytes);
    }
    for (std::size_t end; (end = input_.find('\n')) != std::string::npos && !finished_;) {
      const std::string line = input_.substr(0, end);
      input_.erase(0, end + 1);
      answer(line);
    }
    wait();
  }

  void answer(const std::string& line) {
    const bool thorough = line == "thorough";
    const Liveness liveness =
        thorough ? stream_.process().check_thoroughly() : stream_.process().check();
    if (liveness != Liveness::same) return finish(refuse(liveness));
    if (line == "digest") {
      parts_.digests.digest(stream_.shared_process(), [self = shared_from_this()](auto result) {
        if (!result) return self->say(describe(result.error()));
        self->say("{\"sha256\":" + quoted(hex(*result)) +
                  ",\"files_read\":" + std::to_string(self->parts_.digests.files_read()) + "}\n");
      });
    } else if (line == "main") {
      parts_.main_processes.confirm(
          stream_.shared_process(), [self = shared_from_this()](auto result) {
            self->say(result ? "{\"main\":true}\n" : describe(result.error()));
          });
    } else if (line == "count") {
      say("{\"processes\":" + std::to_string(parts_.census.size()) + "}\n");
    } else {
      say(describe(stream_.process().facts()));
    }
  }

  void say(const std::string& line) {
    if (!finished_) (void)stream_.write_some(as_bytes(line));
  }

  void finish(const Refusal& refusal) {
    if (finished_) return;
    say(describe(refusal));
    finished_ = true;
    stream_.close();
  }

  Parts& parts_;
  Stream stream_;
  Process::Listening listening_;
  std::string input_;
  bool finished_ = false;
};

class Server {
 public:
  Server(asio::io_context& io, const Options& options)
      : parts_{io,
               Census(io, options.census),
               MainProcesses(io),
               ExecutableDigests(io, options.digest),
               {}},
        manual_(options.manual),
        listener_(io, listen_on(options.socket_path)),
        control_(io, ::dup(STDIN_FILENO)) {
    prepare_listener(listener_.native_handle()).value();
    if (options.sweep) parts_.census.start_sweeping();
    accept_all();  // nothing waits yet: learns when the queue was empty
    if (!manual_) wait_for_connections();
    wait_for_control();
    std::cout << "{\"listening\":true}" << std::endl;
  }

 private:
  static int listen_on(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), 0666) != 0 || ::listen(fd, 1024) != 0) {
      throw std::runtime_error("listen");
    }
    return fd;
  }

  void wait_for_connections() {
    listener_.async_wait(Descriptor::wait_read, [this](boost::system::error_code error) {
      if (error) return;
      accept_all();
      wait_for_connections();
    });
  }

  void accept_all() {
    while (accept_one()) {
    }
  }

  bool accept_one() {
    const BootMoment before = boot_now();
    OwnedFd fd(::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) {
      queue_was_empty_ = before;
      return false;
    }
    auto process = parts_.census.admit(fd.get(), queue_was_empty_);
    if (!process) {
      const std::string line = describe(process.error());
      (void)::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL);
      std::cout << line << std::flush;
      return true;
    }
    watch(*process);
    auto stream = Stream::open(parts_.io, std::move(fd), *process);
    if (stream) std::make_shared<Connection>(parts_, std::move(*stream))->start();
    return true;
  }

  void watch(const std::shared_ptr<Process>& process) {
    const pid_t pid = process->facts().pid;
    if (watched_.count(process.get()) != 0) return;
    // Kept like a session would keep it: until the process ends.
    watched_[process.get()] = {process,
                               process->on_end([this, pid, raw = process.get()](Liveness why) {
                                 std::cout << "{\"ended\":" << quoted(to_string(why))
                                           << ",\"pid\":" << pid << "}" << std::endl;
                                 asio::post(parts_.io, [this, raw] { watched_.erase(raw); });
                               })};
  }

  void wait_for_control() {
    control_.async_wait(Descriptor::wait_read, [this](boost::system::error_code error) {
      std::array<char, 64> line;
      const ssize_t got = error ? 0 : ::read(STDIN_FILENO, line.data(), line.size());
      if (got <= 0) return parts_.io.stop();
      if (manual_ && !accept_one()) std::cout << "{\"accepted\":false}" << std::endl;
      wait_for_control();
    });
  }

  Parts parts_;
  bool manual_;
  Descriptor listener_;
  Descriptor control_;
  std::optional<BootMoment> queue_was_empty_;
  std::map<Process*, std::pair<std::shared_ptr<Process>, Process::Listening>> watched_;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto value = [&] { return std::stoi(argv[++i]); };
    if (word == "--older")
      options.census.force_older_path = true;
    else if (word == "--manual")
      options.manual = true;
    else if (word == "--no-sweep")
      options.sweep = false;
    else if (word == "--max-processes")
      options.census.max_processes = static_cast<std::size_t>(value());
    else if (word == "--hash-workers")
      options.digest.workers = value();
    else if (word == "--hash-queue")
      options.digest.max_queue = static_cast<std::size_t>(value());
    else if (word == "--hash-deadline-ms")
      options.digest.deadline = std::chrono::milliseconds(value());
    else
      options.socket_path = word;
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  asio::io_context io(1);
  const Server server(io, options);
  io.run();
  return 0;
}
