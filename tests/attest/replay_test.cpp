#include "attest/jose/replay.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include "tests/attest/catch.h"

#include "tests/attest/maker.h"

using namespace badged;
using namespace badged::attest;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kStart = 1'800'000'000;

SeenProof proof(std::string_view jti, std::int64_t issued = kStart + 10,
                std::string_view jkt = "key") {
  return {jkt, jti, issued, issued + kProofMaxAge + 1};
}

Reason refusal(ReplayGuard& guard, const SeenProof& seen, std::int64_t now = kStart + 10) {
  const auto result = guard.remember(seen, now);
  if (result) throw std::logic_error("the proof was accepted");
  return result.error().reason;
}

struct Directory {
  fs::path path;
  Directory() {
    std::string name = (fs::temp_directory_path() / "badged-replay-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Directory() { fs::remove_all(path); }
  std::string file() const { return path / "seen"; }
};

}  // namespace

TEST_CASE("the replay cache knows a proof by its key and jti together") {
  ReplayCache cache(kStart);
  CHECK(cache.remember(proof("a"), kStart + 10));
  CHECK(cache.remember(proof("b"), kStart + 10));
  CHECK(cache.remember(proof("a", kStart + 10, "other key"), kStart + 10));
  CHECK(refusal(cache, proof("a")) == Reason::replayed);
  CHECK(refusal(cache, proof("a", kStart + 11)) == Reason::replayed);
  CHECK(
      cache.remember(proof("eya", kStart + 10, "k"), kStart + 10));  // no ambiguity between the two
}

TEST_CASE("the replay cache refuses what was issued before it started") {
  ReplayCache cache(kStart);
  CHECK(refusal(cache, proof("a", kStart - 1)) == Reason::replayed);
  CHECK(refusal(cache, proof("a", kStart)) == Reason::replayed);
  CHECK(cache.remember(proof("a", kStart + 1), kStart + 1));
}

TEST_CASE("the replay cache fails closed when a burst fills it, and recovers") {
  ReplayCache cache(kStart, 3);
  for (const char* jti : {"a", "b", "c"}) CHECK(cache.remember(proof(jti), kStart + 10));
  CHECK(refusal(cache, proof("d")) == Reason::replay_full);
  CHECK(refusal(cache, proof("a")) == Reason::replayed);
  const std::int64_t later = kStart + 10 + kProofMaxAge + 1;
  CHECK(cache.remember(proof("d", later), later));
  CHECK(cache.size() == 1);
}

TEST_CASE("a clock that steps forward and back an hour opens no replay") {
  ReplayCache cache(kStart);
  CHECK(cache.remember(proof("a"), kStart + 10));
  CHECK(cache.remember(proof("b", kStart + 3600), kStart + 3600));  // drops a
  CHECK(refusal(cache, proof("a")) == Reason::replayed);
  CHECK(cache.remember(proof("c", kStart + 20), kStart + 20));
}

TEST_CASE("the replay file is shared by guards and survives each of them") {
  const Directory directory;
  {
    ReplayFile first(directory.file());
    CHECK(first.remember(proof("a"), kStart + 10));
  }
  ReplayFile second(directory.file()), third(directory.file());
  CHECK(refusal(second, proof("a")) == Reason::replayed);
  CHECK(second.remember(proof("b"), kStart + 10));
  CHECK(refusal(third, proof("b")) == Reason::replayed);
  struct stat facts {};
  REQUIRE(stat(directory.file().c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
}

TEST_CASE("the replay file accepts a proof once from verifiers that run at the same time") {
  const Directory directory;
  constexpr int kProcesses = 8, kProofs = 40;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = fork();
    if (child == 0) {
      ReplayFile guard(directory.file(), 30);  // so small that it is compacted on the way
      int accepted = 0;
      for (int i = 0; i < kProofs; ++i) {
        const std::int64_t now = kStart + i * 10;
        if (guard.remember(proof("proof" + std::to_string(i), now), now)) ++accepted;
      }
      _exit(accepted);
    }
    children.push_back(child);
  }
  int accepted = 0;
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    accepted += WEXITSTATUS(status);
  }
  CHECK(accepted == kProofs);
}

TEST_CASE("the replay file fails closed when it is full, and drops what has ended") {
  const Directory directory;
  ReplayFile guard(directory.file(), 2);
  CHECK(guard.remember(proof("a", kStart), kStart));
  CHECK(guard.remember(proof("b", kStart + 60), kStart + 60));
  CHECK(refusal(guard, proof("c", kStart + 61), kStart + 61) == Reason::replay_full);
  const std::int64_t later = kStart + kProofMaxAge + 1;  // a has ended, b has not
  CHECK(guard.remember(proof("c", later), later));
  CHECK(refusal(guard, proof("b", kStart + 60), later) == Reason::replayed);
  CHECK(refusal(guard, proof("a", kStart), kStart) ==
        Reason::replayed);  // forgotten, and known to be
  CHECK(fs::file_size(directory.file()) < 200);
}

TEST_CASE("the replay file overwrites a line that a crash tore") {
  const Directory directory;
  ReplayFile guard(directory.file());
  CHECK(guard.remember(proof("a"), kStart + 10));
  std::ofstream(directory.file(), std::ios::app) << "001800000131 abcdef";
  CHECK(guard.remember(proof("b"), kStart + 10));
  CHECK(refusal(guard, proof("a")) == Reason::replayed);
  CHECK(refusal(guard, proof("b")) == Reason::replayed);
}

TEST_CASE("the replay file refuses what is not a replay file of ours") {
  const Directory directory;
  ReplayFile guard(directory.file());
  SECTION("other content") {
    std::ofstream(directory.file()) << "root:x:0:0:this is some other file\n";
  }
  SECTION("a newer version") {
    std::ofstream(directory.file()) << "badged-replay 2 000000000000\n";
  }
  SECTION("a damaged line") {
    CHECK(guard.remember(proof("a"), kStart + 10));
    std::fstream file(directory.file(), std::ios::in | std::ios::out);
    file.seekp(50);
    file << "zz";
  }
  SECTION("a symlink") {
    fs::create_symlink("/dev/null", directory.file());
  }
  SECTION("a directory") {
    fs::create_directory(directory.file());
  }
  SECTION("a fifo") {
    REQUIRE(mkfifo(directory.file().c_str(), 0600) == 0);
  }
  SECTION("one that others may write") {
    std::ofstream(directory.file()) << "";
    fs::permissions(directory.file(), fs::perms(0666));
  }
  CHECK(refusal(guard, proof("b")) == Reason::replay_broken);
}

TEST_CASE("the replay file refuses when it cannot be written") {
  ReplayFile guard("/nonexistent/directory/seen");
  CHECK(refusal(guard, proof("a")) == Reason::replay_broken);
}
