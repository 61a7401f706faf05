// Acknowledged means on disk, in order; what a crash or a hand left behind is told apart.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/audit/limits.h"
#include "tests/audit/support.h"

using namespace badged;
using namespace badged::audit;
using namespace badged::test;

namespace {

std::vector<fs::path> set_aside(const Folder& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder.path))
    if (entry.path().string().find(".damaged-") != std::string::npos) out.push_back(entry.path());
  return out;
}

// Opens a log that was tampered with: it must be kept whole, and a new chain must begin.
std::string damage_found(const Folder& folder) {
  const auto before = read_text(folder.log());
  OpenLog open(folder);
  REQUIRE(open.recovery.findings.size() == 1);
  const auto aside = set_aside(folder);
  REQUIRE(aside.size() == 1);
  CHECK(read_text(aside[0]) == before);
  CHECK(open.recovery.findings[0].find(aside[0].string()) != std::string::npos);
  CHECK(open.log->head() == ChainLink{});
  open.write_many(1);
  CHECK(open.log->head().seq == 1);
  return open.recovery.findings[0];
}

}  // namespace

TEST_CASE("an entry is on disk, and its head stored, before it is acknowledged") {
  const Folder folder;
  OpenLog open(folder);
  for (int i = 1; i <= 3; ++i) {
    bool answered = false;
    open.log->append(Entry("token").number("n", i), [&](Result<void> result) {
      answered = true;
      REQUIRE(result);
      const auto lines = lines_of(folder.log());
      REQUIRE(lines.size() == static_cast<std::size_t>(i));
      CHECK(open.log->head() == end_of(lines));
      const auto stored = open.db->audit_head();
      REQUIRE((stored && *stored));
      CHECK((*stored)->link == end_of(lines));
      CHECK((*stored)->offset == static_cast<std::int64_t>(fs::file_size(folder.log())));
    });
    open.answers.run_until([&] { return answered; });
  }
  CHECK((fs::status(folder.log()).permissions() & fs::perms::all) ==
        (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("entries keep the order of append, and their answers too") {
  const Folder folder;
  OpenLog open(folder);
  std::vector<int> answered;
  constexpr int kCount = 2000;
  for (int i = 0; i < kCount; ++i)
    open.log->append(Entry("token").number("n", i), [&answered, i](Result<void> result) {
      REQUIRE(result);
      answered.push_back(i);
    });
  open.answers.run_until([&] { return answered.size() == kCount; });
  CHECK(std::is_sorted(answered.begin(), answered.end()));
  const auto lines = lines_of(folder.log());
  CHECK(end_of(lines).seq == kCount);
  for (int i = 0; i < kCount; ++i)
    if (lines[static_cast<std::size_t>(i)].find("\"n\":" + std::to_string(i) + ",") ==
        std::string::npos)
      FAIL("line " << i);
}

TEST_CASE("what waits when the log ends is written and answered") {
  const Folder folder;
  std::vector<Errc> failed;
  int answered = 0;
  Answers answers;
  {
    OpenLog open(folder);
    for (int i = 0; i < 50; ++i)
      open.log->append(Entry("token"),
                       [&](Result<void> result) { answered += result.has_value(); });
    open.log.reset();
    open.answers.run_until([&] { return answered == 50; });
  }
  CHECK(lines_of(folder.log()).size() == 50);
}

TEST_CASE("a log that was closed goes on where it was") {
  const Folder folder;
  fill(folder, 3);
  OpenLog open(folder);
  CHECK(open.recovery.findings.empty());
  CHECK(open.log->head().seq == 3);
  open.write_many(2);
  CHECK(end_of(lines_of(folder.log())).seq == 5);
}

TEST_CASE("lines that a crash left after the stored head are taken when they continue the chain") {
  const Folder folder;
  fill(folder, 2);
  const auto link = end_of(lines_of(folder.log()));
  write_text(folder.log(), read_text(folder.log()) + joined(chain(2, link)));
  OpenLog open(folder);
  CHECK(open.recovery.findings.empty());
  CHECK(open.log->head().seq == 4);
}

TEST_CASE("a torn last line is cut off and told, the rest stays") {
  const Folder folder;
  fill(folder, 3);
  const auto good = read_text(folder.log());
  const auto next = chain(1, end_of(lines_of(folder.log())))[0];
  for (const std::string& torn :
       {next, next.substr(0, 10), std::string("{"), std::string(500, '\0')}) {
    write_text(folder.log(), good + torn);
    OpenLog open(folder);
    REQUIRE(open.recovery.findings.size() == 1);
    CHECK(open.recovery.findings[0].find("torn by a crash: " + std::to_string(torn.size())) !=
          std::string::npos);
    CHECK(open.log->head().seq == 3);
    CHECK(read_text(folder.log()) == good);
  }
  CHECK(set_aside(folder).empty());
}

TEST_CASE("moves aside a log whose acknowledged lines were cut, and begins anew") {
  const Folder folder;
  fill(folder, 4);
  auto lines = lines_of(folder.log());
  lines.pop_back();
  write_text(folder.log(), joined(lines));
  CHECK(damage_found(folder).find("does not hold the line with seq 4 that was acknowledged") !=
        std::string::npos);
}

TEST_CASE("moves aside a log whose last acknowledged line is another") {
  const Folder folder;
  fill(folder, 3);
  SECTION("edited") {
    auto text = read_text(folder.log());
    text.replace(text.rfind("token"), 5, "start");
    write_text(folder.log(), text);
  }
  SECTION("rewritten as a chain of its own") {
    auto text = joined(chain(3));
    text.resize(text.size());
    write_text(folder.log(), text);
  }
  SECTION("emptied") {
    write_text(folder.log(), "");
  }
  SECTION("one byte short") {
    auto text = read_text(folder.log());
    text.pop_back();
    write_text(folder.log(), text);
  }
  CHECK(damage_found(folder).find("cut, edited or replaced") != std::string::npos);
}

TEST_CASE(
    "moves aside a log with a broken line after the stored head, and one without a database") {
  const Folder folder;
  fill(folder, 3);
  SECTION("after the head") {
    auto lines = chain(2, end_of(lines_of(folder.log())));
    std::swap(lines[0], lines[1]);
    write_text(folder.log(), read_text(folder.log()) + joined(lines));
  }
  SECTION("no database: the whole file is followed") {
    fs::remove(folder.db());
    auto lines = lines_of(folder.log());
    lines.erase(lines.begin());
    write_text(folder.log(), joined(lines));
  }
  SECTION("a line that is too long to be ours") {
    write_text(folder.log(), read_text(folder.log()) + std::string(400'000, 'a'));
  }
  CHECK(damage_found(folder).find("the audit log is damaged") != std::string::npos);
}

TEST_CASE("evidence that was moved aside is never overwritten") {
  const Folder folder;
  fill(folder, 2);
  write_text(folder.log(), "first\n");
  damage_found(folder);
  write_text(folder.log(), "second\n");
  OpenLog open(folder);
  const auto aside = set_aside(folder);
  REQUIRE(aside.size() == 2);
  CHECK(read_text(aside[0]) + read_text(aside[1]) != "second\nsecond\n");
}

TEST_CASE("one badged writes a log, and a link in its place is refused") {
  const Folder folder;
  OpenLog open(folder);
  Recovery recovery;
  Answers answers;
  const auto second = Log::open(folder.log(), *open.db, answers.post(), recovery);
  REQUIRE_FALSE(second);
  CHECK(second.error().what.find("another badged writes it") != std::string::npos);
  const std::string link = folder.path / "link.jsonl";
  write_text(folder.path / "target", "");
  fs::create_symlink(folder.path / "target", link);
  CHECK_FALSE(Log::open(link, *open.db, answers.post(), recovery));
  CHECK(fs::file_size(folder.path / "target") == 0);
}

TEST_CASE("an entry is refused as busy when too many wait for the disk") {
  const Folder folder;
  OpenLog open(folder);
  std::size_t written = 0;
  std::size_t busy = 0;
  // Far more at once than one sync takes: some wait, the rest is told at once.
  const std::size_t count = limits::kMaxPending * 8;
  const Entry entry("token");
  for (std::size_t i = 0; i < count; ++i)
    open.log->append(entry, [&](Result<void> result) {
      written += result.has_value();
      busy += !result && result.error().code == Errc::busy;
    });
  open.answers.run_until([&] { return written + busy == count; });
  CHECK(busy > 0);
  CHECK(end_of(lines_of(folder.log())).seq == written);
}

TEST_CASE("what waits for others in a crowd is written all the same when the log ends") {
  const Folder folder;
  OpenLog open(folder);
  std::size_t answered = 0;
  const auto append = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      open.log->append(Entry("token"), [&](Result<void> result) { answered += result ? 1 : 0; });
  };
  // The first alone keeps the disk busy, so that the others make a group.
  append(1 + 2 * limits::kGroup);
  open.answers.run_until([&] { return answered == 1 + 2 * limits::kGroup; });
  append(3);
  open.log.reset();
  open.answers.run_until([&] { return answered == 4 + 2 * limits::kGroup; });
  CHECK(lines_of(folder.log()).size() == 4 + 2 * limits::kGroup);
}

TEST_CASE("every acknowledged entry survives kill -9 of its writer") {
  const Folder folder;
  int report[2];
  REQUIRE(::pipe(report) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // Answers are reported from the log's own thread, as soon as they may be.
    auto db = StateDb::open(folder.db());
    Recovery recovery;
    auto log = Log::open(
        folder.log(), **db, [](std::function<void()> work) { work(); }, recovery);
    for (int i = 1;; ++i) {
      (*log)->append(Entry("token").number("n", i), [&, i](Result<void> result) {
        if (result) [[maybe_unused]]
          const auto sent = ::write(report[1], &i, sizeof i);
      });
      if (i % 64 == 0) ::usleep(1000);
    }
  }
  ::close(report[1]);
  int acknowledged = 0;
  int number = 0;
  while (acknowledged < 500 && ::read(report[0], &number, sizeof number) == sizeof number)
    acknowledged = number;
  ::kill(child, SIGKILL);
  while (::read(report[0], &number, sizeof number) == sizeof number) acknowledged = number;
  ::close(report[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  OpenLog open(folder);
  CHECK(set_aside(folder).empty());
  const auto lines = lines_of(folder.log());
  CHECK(end_of(lines).seq == open.log->head().seq);
  REQUIRE(lines.size() >= static_cast<std::size_t>(acknowledged));
  CHECK(lines[static_cast<std::size_t>(acknowledged) - 1].find(
            "\"n\":" + std::to_string(acknowledged) + ",") != std::string::npos);
}
