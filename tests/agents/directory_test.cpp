// Records from a directory: what is read, what is refused, what stays in force (H29).
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/agents/samples.h"

using namespace badged::agents;
using namespace badged::agents::tests;
using Catch::Contains;

namespace {

class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "badged-agents-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Directory() { std::filesystem::remove_all(path_); }

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    ::chmod(file(name).c_str(), 0644);
  }
  void write(const Sample& sample) const { write(sample.name + ".toml", sample.text()); }
  LoadReport load() const { return load_directory(path_, {}, SampleAccounts{}); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Sample by_unit(const std::string& name) {
  Sample sample;
  sample.name = name;
  sample.match = "unit = \"" + name + ".service\"\n";
  return sample;
}

}  // namespace

TEST_CASE("a broken record among good ones is named with line and column, the good are there") {
  Directory directory;
  directory.write(by_unit("one"));
  directory.write(by_unit("two"));
  directory.write("broken.toml", by_unit("broken").text() + "[[grant]\n");
  const LoadReport report = directory.load();
  CHECK(report.files == 3);
  CHECK_FALSE(report.clean());
  CHECK(report.good->records().size() == 2);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].file == directory.file("broken.toml"));
  CHECK(report.problems[0].at.line == 18);
  CHECK(report.problems[0].at.column > 1);
  CHECK_THAT(report.problems[0].message, Contains("not TOML"));

  directory.write(by_unit("broken"));
  CHECK(directory.load().clean());
  CHECK(directory.load().good->records().size() == 3);
}

TEST_CASE("a set in force does not change when the files do") {
  Directory directory;
  directory.write(by_unit("one"));
  const auto before = directory.load().good;
  const RecordPtr held = before->find("one");
  std::filesystem::remove(directory.file("one.toml"));
  directory.write(by_unit("two"));
  const auto after = directory.load().good;
  CHECK(before->find("one") == held);
  CHECK(before->find("two") == nullptr);
  CHECK(after->find("one") == nullptr);
}

TEST_CASE("only files that root or badged's user alone can write are read") {
  Directory directory;
  directory.write(by_unit("one"));
  ::chmod(directory.file("one.toml").c_str(), 0664);
  LoadReport report = directory.load();
  CHECK_THAT(errors_of(report.problems), Contains("writable by its group or by others"));
  CHECK_THAT(errors_of(report.problems),
             Contains("hint: only its owner may change it: chmod go-w"));
  CHECK(report.good->records().empty());
  ::chmod(directory.file("one.toml").c_str(), 0640);
  CHECK(directory.load().clean());
  if (::geteuid() == 0) {
    REQUIRE(::chown(directory.file("one.toml").c_str(), 12345, 0) == 0);
    CHECK_THAT(errors_of(directory.load().problems), Contains("owned by uid 12345"));
  }
}

TEST_CASE("a directory that others can write holds no records") {
  Directory directory;
  directory.write(by_unit("one"));
  ::chmod(directory.path().c_str(), 0777);
  const LoadReport report = directory.load();
  CHECK_FALSE(report.clean());
  CHECK(report.good->records().empty());
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].file == directory.path());
}

TEST_CASE("a missing directory is an error with a hint, never an empty set taken for granted") {
  const LoadReport report = load_directory("/nonexistent/agents.d", {}, SampleAccounts{});
  CHECK_FALSE(report.clean());
  CHECK_THAT(errors_of(report.problems),
             Contains("/nonexistent/agents.d: error: open the directory"));
}

TEST_CASE("links, fifos and directories are no records, and nothing waits for them") {
  Directory directory;
  directory.write("elsewhere", by_unit("link").text());
  std::filesystem::create_symlink("elsewhere", directory.file("link.toml"));
  REQUIRE(::mkfifo(directory.file("pipe.toml").c_str(), 0600) == 0);
  std::filesystem::create_directory(directory.file("folder.toml"));
  const LoadReport report = directory.load();
  const std::string errors = errors_of(report.problems);
  CHECK_THAT(errors, Contains("link.toml: error: a symbolic link"));
  CHECK_THAT(errors, Contains("pipe.toml: error: no regular file"));
  CHECK_THAT(errors, Contains("folder.toml: error: no regular file"));
  CHECK(report.good->records().empty());
}

TEST_CASE("files of other names are left alone and said") {
  Directory directory;
  directory.write(by_unit("one"));
  directory.write("one.toml.bak", "not a record");
  directory.write(".hidden.toml", "not a record");
  const LoadReport report = directory.load();
  CHECK(report.clean());
  CHECK(report.files == 1);
  CHECK(report.problems.size() == 2);
  CHECK_THAT(all_of(report.problems), Contains("one.toml.bak: warning: not a record"));
}

TEST_CASE("a file larger than any record is refused unread") {
  Directory directory;
  directory.write("big.toml", std::string(kMaxRecordBytes + 1, '#'));
  CHECK_THAT(errors_of(directory.load().problems), Contains("big.toml: error: larger than 32768"));
}

TEST_CASE("the host's own users are known") {
  const auto accounts = host_accounts();
  CHECK(accounts->uid_of("root") == uid_t{0});
  CHECK_FALSE(accounts->uid_of("no-such-user-here"));
  REQUIRE_FALSE(accounts->accounts_of(0).empty());
  CHECK(accounts->accounts_of(0).front().name == "root");
  CHECK(accounts->accounts_of(4'000'000'001).empty());
}
