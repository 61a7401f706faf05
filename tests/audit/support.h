// A log of one test's own, and lines made or broken by hand.
#pragma once

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/audit/log.h"
#include "daemon/audit/state_db.h"
#include "tests/keystore/result_printer.h"

namespace badged::test {

namespace fs = std::filesystem;

struct Folder {
  fs::path path;
  explicit Folder(const char* under = "/tmp") {
    std::string name = std::string(under) + "/audit-test-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string log() const { return path / "audit.jsonl"; }
  std::string db() const { return path / "state.db"; }
};

inline std::string read_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text(const fs::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary) << text;
}

inline std::vector<std::string> lines_of(const fs::path& file) {
  std::istringstream in(read_text(file));
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

inline std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) out += line + '\n';
  return out;
}

// A chain of `count` lines, numbered in the member `n`.
inline std::vector<std::string> chain(int count, audit::ChainLink link = {}) {
  std::vector<std::string> out;
  for (int n = 1; n <= count; ++n) {
    std::string line;
    audit::append_line(
        R"("time":"2026-01-31T23:59:59.123Z","kind":"token","n":)" + std::to_string(n), link, line);
    line.pop_back();
    out.push_back(line);
  }
  return out;
}

inline audit::ChainLink end_of(const std::vector<std::string>& lines) {
  audit::ChainLink link;
  for (const auto& line : lines) REQUIRE(audit::follow_line(line, link));
  return link;
}

// Files of this process may not grow past `bytes` while this lives; a write that wants to fails.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uintmax_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

// The thread that owns the program's state: answers wait here until the test takes them.
class Answers {
 public:
  audit::Post post() {
    return [this](std::function<void()> work) {
      const std::lock_guard lock(mutex_);
      work_.push_back(std::move(work));
      changed_.notify_all();
    };
  }
  // Runs answers until `done` says so.
  void run_until(const std::function<bool()>& done) {
    while (!done()) {
      std::unique_lock lock(mutex_);
      REQUIRE(changed_.wait_for(lock, std::chrono::seconds(60), [this] { return !work_.empty(); }));
      auto work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
    }
  }
  std::size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return work_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
};

// A log with its database, opened anew at will.
struct OpenLog {
  explicit OpenLog(const Folder& folder) {
    auto opened_db = audit::StateDb::open(folder.db());
    REQUIRE(opened_db);
    db = std::move(*opened_db);
    auto opened = audit::Log::open(folder.log(), *db, answers.post(), recovery);
    REQUIRE(opened);
    log = std::move(*opened);
  }
  // Appends and waits for the answer.
  Result<void> write(const audit::Entry& entry) {
    std::optional<Result<void>> answer;
    log->append(entry, [&](Result<void> result) { answer = result; });
    answers.run_until([&] { return answer.has_value(); });
    return *answer;
  }
  void write_many(int count) {
    for (int i = 0; i < count; ++i) REQUIRE(write(audit::Entry("token").number("n", i)));
  }

  Answers answers;
  std::unique_ptr<audit::StateDb> db;
  audit::Recovery recovery;
  std::unique_ptr<audit::Log> log;  // last: ends first
};

// A folder with a log of `count` lines, closed again.
inline void fill(const Folder& folder, int count) {
  OpenLog open(folder);
  open.write_many(count);
}

}  // namespace badged::test
