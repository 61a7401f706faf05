// What badge-verifier reads, and what it does not wait for.
#include "attest/verifier/input.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/attest/catch.h"

using namespace badged;
using verifier::read_input;
using namespace std::chrono_literals;

namespace {

struct Fifo {
  std::filesystem::path folder;
  std::string path;
  Fifo() {
    std::string name = (std::filesystem::temp_directory_path() / "badged-input-XXXXXX").string();
    folder = mkdtemp(name.data());
    path = folder / "fifo";
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  }
  ~Fifo() { std::filesystem::remove_all(folder); }
};

// What a shell's <(…) is.
struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() { REQUIRE(pipe(ends) == 0); }
  ~Pipe() {
    close(ends[0]);
    end();
  }
  std::string path() const { return "/dev/fd/" + std::to_string(ends[0]); }
  void write(std::string_view text) const {
    REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  void end() {
    if (ends[1] >= 0) close(ends[1]);
    ends[1] = -1;
  }
};

}  // namespace

TEST_CASE("a pipe is read to its end, bounded like a file") {
  Pipe pipe;
  pipe.write("content");
  pipe.end();
  CHECK(read_input(pipe.path(), 7).value() == "content");
  Pipe longer;
  longer.write("contents");
  longer.end();
  CHECK(read_input(longer.path(), 7).error().code == Errc::malformed);
}

TEST_CASE("a pipe whose writer does not go on is not waited for beyond the patience") {
  Pipe pipe;
  pipe.write("beginning");
  CHECK(read_input(pipe.path(), 100, 0ms).error().code == Errc::unavailable);
}

TEST_CASE("a FIFO that nobody opens for writing is neither waited for nor empty") {
  const Fifo fifo;
  CHECK(read_input(fifo.path, 100, 0ms).error().code == Errc::unavailable);
}

TEST_CASE("a device and a directory are not read") {
  CHECK(read_input("/dev/zero", 100).error().code == Errc::unavailable);
  CHECK(read_input("/dev/null", 100).error().code == Errc::unavailable);
  CHECK(read_input("/tmp", 100).error().code == Errc::unavailable);
  CHECK(read_input("/nonexistent", 100).error().code == Errc::not_found);
}
