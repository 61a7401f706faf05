// A full disk and a failed write, for real: cut back, told, and resumed by itself.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "tests/audit/support.h"

using namespace badged;
using namespace badged::audit;
using namespace badged::test;

namespace {

// A tmpfs of one page more than nothing, with the log alone on it.
struct SmallDisk {
  SmallDisk() : mounted(::mount("tmpfs", path().c_str(), "tmpfs", 0, "size=16k") == 0) {}
  ~SmallDisk() {
    if (mounted) ::umount2(path().c_str(), MNT_DETACH);
  }
  std::string path() const { return folder.path; }
  Folder folder;
  bool mounted;
};

Entry long_entry() {
  return Entry("token").text("detail", std::string(600, 'a'));
}

}  // namespace

TEST_CASE("a write that fails half way is cut back and told; the next that fits goes on") {
  const Folder folder;
  OpenLog open(folder);
  open.write_many(2);
  const auto good = read_text(folder.log());
  const auto head = open.log->head();
  {
    // Room for a part of the line, so that some of it reaches the file.
    const FileSizeLimit limit(good.size() + 100);
    const auto refused = open.write(long_entry());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::unavailable);
    CHECK(read_text(folder.log()) == good);
    CHECK(open.log->head() == head);
    CHECK_FALSE(open.log->condition());
  }
  open.write_many(1);
  CHECK(open.log->condition());
  CHECK(end_of(lines_of(folder.log())).seq == 3);
}

TEST_CASE("a full disk refuses every entry of the batch, and issuance resumes when there is room") {
  const SmallDisk disk;
  if (!disk.mounted) {
    WARN("skipped: a tmpfs cannot be mounted here");
    return;
  }
  const Folder elsewhere;
  auto db = StateDb::open(elsewhere.db());
  REQUIRE(db);
  Answers answers;
  Recovery recovery;
  auto log = Log::open(disk.folder.log(), **db, answers.post(), recovery);
  REQUIRE(log);
  int good = 0;
  int failed = 0;
  const auto write = [&] {
    const int before = good + failed;
    (*log)->append(long_entry(), [&](Result<void> result) {
      good += result.has_value();
      failed += !result && result.error().code == Errc::unavailable;
    });
    answers.run_until([&] { return good + failed == before + 1; });
  };
  while (failed == 0) write();
  CHECK(good > 5);
  const auto text = read_text(disk.folder.log());
  CHECK(end_of(lines_of(disk.folder.log())).seq == static_cast<std::uint64_t>(good));
  for (int i = 0; i < 3; ++i) write();
  CHECK(failed == 4);
  CHECK(read_text(disk.folder.log()) == text);
  REQUIRE(::mount("tmpfs", disk.path().c_str(), "tmpfs", MS_REMOUNT, "size=64k") == 0);
  write();
  CHECK(end_of(lines_of(disk.folder.log())).seq == static_cast<std::uint64_t>(good));
  CHECK(failed == 4);
}

TEST_CASE("bytes that could not be cut back are cut before anything is written behind them") {
  const Folder folder;
  OpenLog open(folder);
  open.write_many(2);
  const auto good = read_text(folder.log());
  // An append-only file cannot be truncated, not even by root.
  const int file = ::open(folder.log().c_str(), O_RDONLY | O_CLOEXEC);
  int flags = 0;
  const auto set = [&](int wanted) { return ::ioctl(file, FS_IOC_SETFLAGS, &wanted) == 0; };
  if (::ioctl(file, FS_IOC_GETFLAGS, &flags) != 0 || !set(flags | FS_APPEND_FL)) {
    WARN("skipped: the file system has no append-only files");
    ::close(file);
    return;
  }
  {
    const FileSizeLimit limit(good.size() + 100);
    const auto refused = open.write(long_entry());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().what.find("cut the audit log back") != std::string::npos);
  }
  CHECK(read_text(folder.log()).size() == good.size() + 100);
  // Nothing may stand behind a torn line: refused while it cannot be removed.
  CHECK_FALSE(open.write(Entry("token")));
  REQUIRE(set(flags));
  ::close(file);
  open.write_many(1);
  CHECK(end_of(lines_of(folder.log())).seq == 3);
}

TEST_CASE("a state directory without room for the log is named at start") {
  const Folder folder;
  auto db = StateDb::open(folder.db());
  REQUIRE(db);
  Answers answers;
  Recovery recovery;
  const auto missing =
      Log::open(folder.path / "no" / "audit.jsonl", **db, answers.post(), recovery);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().what.find("no/audit.jsonl: No such file") != std::string::npos);
  CHECK_FALSE(missing.error().hint.empty());
  fs::create_directory(folder.log());
  CHECK_FALSE(Log::open(folder.log(), **db, answers.post(), recovery));
}
