// The pure halves of peers/, and what needs no second process.
#include "daemon/peers/peer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "daemon/peers/census.h"
#include "daemon/peers/connection_claim.h"
#include "daemon/peers/executable_file.h"
#include "daemon/peers/process_files.h"
#include "daemon/peers/unit.h"
#include "daemon/peers/workers.h"

using namespace badged;
using namespace badged::peers;

namespace {

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/peers-test-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

constexpr PeerRefusal kLast = PeerRefusal::kernel_failure;

std::shared_ptr<Process> myself(boost::asio::io_context& io, Census& census) {
  static_cast<void>(io);
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  const OwnedFd one(pair[0]), other(pair[1]);
  return census.admit(one.get()).value();
}

}  // namespace

TEST_CASE("every reason has a name and a sentence of its own") {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(kLast); ++i) {
    const Refusal refusal = refuse(static_cast<PeerRefusal>(i));
    REQUIRE(refusal.reason == static_cast<PeerRefusal>(i));
    REQUIRE(names.insert(to_string(refusal.reason)).second);
    REQUIRE(refusal.what.starts_with("identify the caller: "));
  }
}

TEST_CASE("a cgroup counts as a unit's only when it is the unit's own") {
  REQUIRE(is_own_cgroup("/system.slice/bot.service", "bot.service"));
  REQUIRE(is_own_cgroup("/system.slice/system-bot.slice/bot@1.service", "bot@1.service"));
  REQUIRE(is_own_cgroup("/system.slice/_cpu.service", "cpu.service"));
  // A delegated subtree, also one that repeats the unit's name.
  REQUIRE_FALSE(is_own_cgroup("/system.slice/bot.service/sub", "bot.service"));
  REQUIRE_FALSE(is_own_cgroup("/system.slice/box.service/system.slice/bot.service", "box.service"));
  REQUIRE_FALSE(is_own_cgroup("/system.slice/box.service/box.service", "box.service"));
  REQUIRE_FALSE(is_own_cgroup("/system.slice/box.service/bot.service", "bot.service"));
  // User managers.
  REQUIRE_FALSE(
      is_own_cgroup("/user.slice/user-1000.slice/user@1000.service", "user@1000.service"));
  REQUIRE_FALSE(is_own_cgroup("/user.slice/user-1000.slice/user@1000.service/app.slice/bot.service",
                              "bot.service"));
  // No services, no names.
  REQUIRE_FALSE(is_own_cgroup("/user.slice/user-0.slice/session-1.scope", "session-1.scope"));
  REQUIRE_FALSE(is_own_cgroup("/init.scope", "init.scope"));
  REQUIRE_FALSE(is_own_cgroup("/system.slice/../bot.service", "bot.service"));
  REQUIRE_FALSE(is_own_cgroup("", ""));
  REQUIRE_FALSE(is_own_cgroup("/", ""));
}

TEST_CASE("an InvocationID counts only from a directory that root alone can write") {
  if (::geteuid() != 0) {
    WARN("skipped: needs root");
    return;
  }
  const Folder folder;
  const std::string id = "0123456789abcdef0123456789abcdef";
  const std::string link = folder.path + "/invocation:bot.service";
  REQUIRE(::symlink(id.c_str(), link.c_str()) == 0);
  REQUIRE(invocation_of("bot.service", folder.path.c_str()) == id);
  REQUIRE(invocation_of("other.service", folder.path.c_str()).empty());
  REQUIRE(::chmod(folder.path.c_str(), 0777) == 0);
  REQUIRE(invocation_of("bot.service", folder.path.c_str()).empty());
  REQUIRE(::chmod(folder.path.c_str(), 0755) == 0);
  REQUIRE(::lchown(link.c_str(), 61001, 61001) == 0);
  REQUIRE(invocation_of("bot.service", folder.path.c_str()).empty());
  REQUIRE(::lchown(link.c_str(), 0, 0) == 0);
  REQUIRE(::chown(folder.path.c_str(), 61001, 61001) == 0);
  REQUIRE(invocation_of("bot.service", folder.path.c_str()).empty());
}

TEST_CASE("a program's name cannot forge a field of stat or status") {
  const std::string name = "7 (a) S 1 2 3) R 9 9 9";
  std::string line = name + ")";
  line = "7 (" + name + ") S";
  for (int field = 4; field <= 52; ++field) line += " " + std::to_string(field * 100);
  const auto stat = parse_stat(line + "\n");
  REQUIRE(stat.has_value());
  REQUIRE(stat->state == 'S');
  REQUIRE(stat->start_ticks == 2200);
  REQUIRE(stat->layout.code_start == 2600);
  REQUIRE(stat->layout.heap_start == 4700);
  REQUIRE(stat->exiting);  // 900 has the bit 4
  REQUIRE_FALSE(parse_stat("7 (x) S 1 2").has_value());
  REQUIRE_FALSE(parse_stat("").has_value());
  REQUIRE_FALSE(parse_stat("7 (x) S" + std::string(400, ' ')).has_value());

  const auto ids = parse_ids("Name:\tUid:\\n\nUid:\t5\t5\t5\t5\nGid:\t6\t6\t6\t6\n");
  REQUIRE(ids.has_value());
  REQUIRE(ids->uid == 5);
  REQUIRE(ids->gid == 6);
  for (const char* differ :
       {"\nUid:\t5\t5\t5\t4\nGid:\t6\t6\t6\t6\n", "\nUid:\t5\t4\t5\t5\nGid:\t6\t6\t6\t6\n",
        "\nUid:\t5\t5\t5\t5\nGid:\t6\t6\t1\t6\n"}) {
    REQUIRE(parse_ids(differ).error().reason == PeerRefusal::ids_differ);
  }
  REQUIRE_FALSE(parse_ids("Name:\tx\n").has_value());
}

TEST_CASE("only known local file systems may be read") {
  const std::string mounts =
      "21 1 8:1 / / rw shared:1 - ext4 /dev/sda rw\n"
      "22 21 0:30 / /mnt/a rw,nosuid shared:2 master:3 - fuse.sshfs x rw\n"
      "23 21 0:31 / /mnt/b\\040-\\040ext4 rw - nfs4 host:/ rw\n"
      "24 21 0:32 / /mnt/c rw - overlay overlay rw\n"
      "25 21 0:33 / /mnt/d rw\n";
  REQUIRE(is_on_local_file_system(mounts, 21));
  REQUIRE(is_on_local_file_system(mounts, 24));
  REQUIRE_FALSE(is_on_local_file_system(mounts, 22));
  REQUIRE_FALSE(is_on_local_file_system(mounts, 23));
  REQUIRE_FALSE(is_on_local_file_system(mounts, 25));
  REQUIRE_FALSE(is_on_local_file_system(mounts, 2));
  REQUIRE_FALSE(is_on_local_file_system("", 0));
}

TEST_CASE("a fifo, a directory and a device in place of the executable are refused at once") {
  const Folder folder;
  REQUIRE(::symlink("/proc/self/mountinfo", (folder.path + "/mountinfo").c_str()) == 0);
  REQUIRE(::mkfifo((folder.path + "/fifo").c_str(), 0666) == 0);
  const std::atomic<bool> running{false};
  for (const std::string& target : {folder.path + "/fifo", folder.path}) {
    const std::string link = folder.path + "/exe";
    ::unlink(link.c_str());
    REQUIRE(::symlink(target.c_str(), link.c_str()) == 0);
    const OwnedFd directory(::open(folder.path.c_str(), O_PATH | O_DIRECTORY));
    const FileId admitted = find_executable(directory.get()).value().id;
    REQUIRE(hash_executable(directory.get(), admitted, running).error().reason ==
            PeerRefusal::executable_not_regular);
  }
}

TEST_CASE("another file than the one at admission is refused") {
  const Folder folder;
  REQUIRE(::symlink("/proc/self/mountinfo", (folder.path + "/mountinfo").c_str()) == 0);
  std::ofstream(folder.path + "/exe") << "one";
  const OwnedFd directory(::open(folder.path.c_str(), O_PATH | O_DIRECTORY));
  const FileId admitted = find_executable(directory.get()).value().id;
  const std::atomic<bool> running{false};
  REQUIRE(hash_executable(directory.get(), admitted, running).has_value());
  std::ofstream(folder.path + "/new") << "two";
  REQUIRE(::rename((folder.path + "/new").c_str(), (folder.path + "/exe").c_str()) == 0);
  REQUIRE(hash_executable(directory.get(), admitted, running).error().reason ==
          PeerRefusal::executable_changed);
}

TEST_CASE("a process is older than a moment only when its whole start tick is") {
  using std::chrono::milliseconds;
  REQUIRE(is_older_than(100, milliseconds(1010)));
  REQUIRE_FALSE(is_older_than(100, milliseconds(1009)));
  REQUIRE_FALSE(is_older_than(100, milliseconds(0)));
}

TEST_CASE(
    "all connections of a process share one Process, and its end reaches every listener once") {
  boost::asio::io_context io;
  Census census(io);
  const auto process = myself(io, census);
  REQUIRE(myself(io, census) == process);
  REQUIRE(census.size() == 1);
  REQUIRE(process->check() == Liveness::same);
  REQUIRE(process->check_thoroughly() == Liveness::same);
  int calls = 0;
  const auto one = process->on_end([&](Liveness) { ++calls; });
  {
    const auto dropped = process->on_end([&](Liveness) { calls += 100; });
  }
  process->end(Liveness::execed);
  process->end(Liveness::exited);
  REQUIRE(calls == 1);
  REQUIRE(process->check() == Liveness::execed);
  const auto late = process->on_end([&](Liveness why) { calls += why == Liveness::execed; });
  REQUIRE(calls == 2);
  // It lives on, so a new connection meets it anew.
  REQUIRE(myself(io, census) != process);
}

// Between the loss of its memory and the setting up of the next, a process has no layout, as one
// that is exiting has none. Which of the two it was goes to the audit.
TEST_CASE("an exec seen at any moment is an exec, and an exit an exit (H2)") {
  for (int round = 0; round < 400; ++round) {
    const bool execs = round % 2 == 0;
    int pipe_ends[2];
    REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
    OwnedFd go_on(pipe_ends[1]), wait_for(pipe_ends[0]);
    const pid_t child = ::fork();
    if (child == 0) {
      char byte;
      if (::read(wait_for.get(), &byte, 1) == 1 && execs)
        ::execl("/bin/sleep", "sleep", "60", nullptr);
      ::_exit(0);
    }
    boost::asio::io_context io;
    Census census(io);
    const auto process = census.inspect(child).value();
    REQUIRE(::write(go_on.get(), "x", 1) == 1);
    Liveness seen = Liveness::same;
    while (seen == Liveness::same) seen = process->check();
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    REQUIRE(seen == (execs ? Liveness::execed : Liveness::exited));
  }
}

TEST_CASE("a listener may drop itself, a later listener and the last reference") {
  boost::asio::io_context io;
  Census census(io);
  auto process = myself(io, census);
  Process* raw = process.get();
  std::optional<Process::Listening> first, second;
  bool second_called = false;
  first = process->on_end([&](Liveness) {
    first.reset();
    second.reset();
    process.reset();
  });
  second = process->on_end([&](Liveness) { second_called = true; });
  raw->end(Liveness::exited);
  REQUIRE_FALSE(process);
  REQUIRE_FALSE(second_called);
}

TEST_CASE("the census is bounded, and forgets who is gone") {
  boost::asio::io_context io;
  CensusOptions options;
  options.max_processes = 0;
  Census full(io, options);
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  const OwnedFd one(pair[0]), other(pair[1]);
  REQUIRE(full.admit(one.get()).error().reason == PeerRefusal::too_many_processes);
  Census census(io);
  REQUIRE(census.admit(one.get()).has_value());
  census.sweep();
  REQUIRE(census.size() == 0);
}

TEST_CASE("a full queue of workers refuses, and stopping drops what waits") {
  std::atomic<bool> started{false}, release{false};
  std::atomic<int> ran{0};
  {
    Workers workers(1, 1);
    REQUIRE(workers.submit([&] {
      started = true;
      started.notify_all();
      release.wait(false);
      ++ran;
    }));
    started.wait(false);
    REQUIRE(workers.submit([&] { ++ran; }));
    REQUIRE_FALSE(workers.submit([&] { ++ran; }));
    release = true;
    release.notify_all();
  }
  REQUIRE(ran >= 1);
  REQUIRE(ran <= 2);
}
