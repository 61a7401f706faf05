// Which records clash, and which one a process matches.
#include <sys/stat.h>
#include <catch2/catch.hpp>

#include <algorithm>

#include "daemon/agents/record_clash.h"
#include "tests/agents/samples.h"

using namespace badged::agents;
using namespace badged::agents::tests;
using badged::Digest;
using Catch::Contains;
using Kind = MatchOutcome::Kind;

namespace {

const std::string kDigestA(64, 'a');
const std::string kDigestB(64, 'b');

Sample with_match(std::string name, std::string match, bool baseline = false) {
  Sample sample;
  sample.name = std::move(name);
  sample.match = std::move(match);
  if (baseline) {
    sample.autonomy = "low";
    sample.access = "public-read";
  }
  return sample;
}

LoadReport load_two(const std::string& one, const std::string& other, bool baseline = true) {
  return load({with_match("one", one, baseline).file(), with_match("two", other, baseline).file()});
}

badged::peers::FileId id_of(const char* path) {
  struct stat facts {};
  REQUIRE(::stat(path, &facts) == 0);
  return {facts.st_dev, facts.st_ino, 0};
}

CallerFacts caller(uid_t uid, std::string unit = {}) {
  CallerFacts facts;
  facts.process.uid = uid;
  facts.process.unit.name = std::move(unit);
  facts.process.executable = "/usr/bin/env";
  facts.process.executable_id = id_of("/usr/bin/env");
  return facts;
}

}  // namespace

TEST_CASE("two records clash unless a key that both give differs") {
  struct Row {
    const char* one;
    const char* other;
    bool clash;
  };
  const Row rows[] = {
      {"unit = \"a.service\"\n", "unit = \"a.service\"\n", true},
      {"unit = \"a.service\"\n", "unit = \"b.service\"\n", false},
      {"unit = \"a.service\"\n", "uid = 990\n", true},  // the unit might run as that uid
      {"unit = \"a.service\"\nuid = 991\n", "uid = 990\n", false},
      {"unit = \"a.service\"\nuid = 990\n", "uid = \"agent\"\n", true},  // a name and its number
      {"uid = 990\n", "uid = 991\n", false},
      {"uid = 990\n", "uid = \"agent\"\n", true},
      {"unit = \"a.service\"\nuid = 990\n", "unit = \"b.service\"\nuid = 990\n", false},
      {"unit = \"a@.service\"\n", "unit = \"a@x.service\"\n", true},
      {"unit = \"a@x.service\"\n", "unit = \"a@.service\"\n", true},
      {"unit = \"a@.service\"\n", "unit = \"a@.service\"\n", true},
      {"unit = \"a@.service\"\n", "unit = \"ab@x.service\"\n", false},
      {"unit = \"a@x.service\"\n", "unit = \"a@y.service\"\n", false},
      {"unit = \"a@.service\"\n", "unit = \"a.service\"\n", false},
      {"unit = \"a.service\"\nmain_process = true\n",
       "unit = \"a.service\"\nmain_process = false\n", true},  // false includes the main process
      {"uid = 990\nexecutable = \"/usr/bin/env\"\n", "uid = 990\n", true},
      {"uid = 990\nexecutable = \"/usr/bin/env\"\n", "uid = 990\nexecutable = \"/usr/bin/id\"\n",
       false},
      {"uid = 990\nexecutable = \"/usr/bin/env\"\n",
       "uid = 990\nexecutable = \"/usr/bin/../bin/env\"\n", true},  // the same file
  };
  for (const Row& row : rows) {
    CAPTURE(row.one, row.other);
    const LoadReport report = load_two(row.one, row.other);
    INFO(all_of(report.problems));
    CHECK(report.clean() == !row.clash);
    CHECK(report.good->records().size() == (row.clash ? 0 : 2));
    if (row.clash) {
      CHECK_THAT(errors_of(report.problems), Contains("clashes with 'two' (agents.d/two.toml)"));
      CHECK_THAT(errors_of(report.problems), Contains("clashes with 'one' (agents.d/one.toml)"));
    }
  }
}

TEST_CASE("lists of digests tell records apart only without a common one") {
  const std::string a = "uid = 990\nexecutable_sha256 = [\"" + kDigestA + "\"]\n";
  const std::string b = "uid = 990\nexecutable_sha256 = [\"" + kDigestB + "\"]\n";
  const std::string both =
      "uid = 990\nexecutable_sha256 = [\"" + kDigestA + "\", \"" + kDigestB + "\"]\n";
  CHECK(load_two(a, b).clean());
  CHECK_FALSE(load_two(a, both).clean());
  CHECK_FALSE(load_two(a, "uid = 990\n").clean());
}

TEST_CASE("a clash takes out the two records alone") {
  const LoadReport report = load({with_match("one", "uid = 990\n", true).file(),
                                  with_match("two", "uid = 990\n", true).file(),
                                  with_match("three", "uid = 991\n", true).file()});
  REQUIRE(report.good->records().size() == 1);
  CHECK(report.good->find("three") != nullptr);
  CHECK(report.good->find("one") == nullptr);
}

TEST_CASE("above baseline a uid shared with another record is no identity") {
  const std::string env = "uid = 990\nexecutable = \"/usr/bin/env\"\n";
  const std::string id = "uid = 990\nexecutable = \"/usr/bin/id\"\n";
  CHECK(load_two(env, id, true).clean());
  const LoadReport report = load_two(env, id, false);
  CHECK_THAT(errors_of(report.problems),
             Contains("above baseline hangs on a uid that 'two' (agents.d/two.toml) has too"));
  CHECK(report.good->records().empty());
  // With units it is the unit that tells them apart.
  CHECK(load_two("unit = \"a.service\"\nuid = 990\n", "unit = \"b.service\"\nuid = 990\n", false)
            .clean());
}

TEST_CASE("matches a process by its uid") {
  const auto set = load(with_match("one", "uid = 990\n")).good;
  const MatchOutcome outcome = set->match(caller(990));
  REQUIRE(outcome.kind == Kind::matched);
  CHECK(outcome.record->name == "one");
  const MatchOutcome stranger = set->match(caller(12345));
  CHECK(stranger.kind == Kind::no_match);
  CHECK(stranger.record == nullptr);
  CHECK(stranger.mismatch.agent.empty());
  CHECK(stranger.mismatch.agent.empty());
}

TEST_CASE("matches a unit, and every instance of a template, by exact name") {
  const auto set = load({with_match("one", "unit = \"a.service\"\nmain_process = false\n").file(),
                         with_match("two", "unit = \"b@.service\"\nmain_process = false\n").file()})
                       .good;
  CHECK(set->match(caller(5, "a.service")).record->name == "one");
  CHECK(set->match(caller(5, "b@x.service")).record->name == "two");
  CHECK(set->match(caller(5, "b@x@y.service")).record->name == "two");
  for (const char* unit : {"", "aa.service", "a.service2", "b@.service", "b.service", "A.service",
                           "a@x.service", "bb@x.service"}) {
    CAPTURE(unit);
    CHECK(set->match(caller(5, unit)).kind == Kind::no_match);
  }
}

TEST_CASE("every key that is given must hold") {
  const auto set =
      load(with_match("one", "unit = \"a.service\"\nuid = 990\nmain_process = false\n")).good;
  CHECK(set->match(caller(990, "a.service")).kind == Kind::matched);
  const MatchOutcome other_uid = set->match(caller(991, "a.service"));
  CHECK(other_uid.mismatch.rule == "uid");
  CHECK(other_uid.mismatch.message == "its uid is 991, the record wants 990");
  CHECK(set->match(caller(990, "b.service")).kind == Kind::no_match);
  CHECK(set->match(caller(990)).kind == Kind::no_match);
}

TEST_CASE("asks for the main process and the digest only when all before holds") {
  const auto set = load(with_match("one",
                                   "unit = \"a.service\"\nuid = 990\nexecutable = "
                                   "\"/usr/bin/env\"\nexecutable_sha256 = [\"" +
                                       kDigestA + "\"]\n"))
                       .good;
  CHECK(set->match(caller(991, "a.service")).kind == Kind::no_match);
  CallerFacts facts = caller(990, "a.service");
  facts.process.executable_id = id_of("/usr/bin/id");
  CHECK(set->match(facts).mismatch.rule == "executable");

  facts = caller(990, "a.service");
  CHECK(set->match(facts).kind == Kind::needs_main_process);
  facts.main_process = MainProcess::yes;
  CHECK(set->match(facts).kind == Kind::needs_digest);
  Digest digest;
  digest.fill(0xaa);
  facts.executable_digest = digest;
  CHECK(set->match(facts).kind == Kind::matched);

  digest.fill(0xab);
  facts.executable_digest = digest;
  CHECK(set->match(facts).mismatch.rule == "executable_sha256");
  facts.executable_digest.reset();
  facts.digest_refused = "not on a local file system";
  CHECK(set->match(facts).mismatch.message ==
        "its executable cannot be hashed: not on a local file system");
  facts.main_process = MainProcess::no;
  CHECK(set->match(facts).mismatch.rule == "main_process");
  facts.main_process = MainProcess::refused;
  facts.main_process_refused = "no answer";
  CHECK_THAT(set->match(facts).mismatch.message, Contains("no answer"));
}

TEST_CASE("an executable matches by file, not by name") {
  const auto set = load(with_match("one", "uid = 990\nexecutable = \"/usr/bin/env\"\n")).good;
  CallerFacts facts = caller(990);
  facts.process.executable = "/elsewhere/env";  // another mount namespace
  CHECK(set->match(facts).kind == Kind::matched);
  facts.process.executable = "/usr/bin/env";
  facts.process.executable_id = id_of("/usr/bin/id");
  CHECK(set->match(facts).kind == Kind::no_match);
}

TEST_CASE("an upgraded executable matches when it runs, and a freed inode does not come back") {
  const auto set = load(with_match("one", "uid = 990\nexecutable = \"/usr/bin/env\"\n")).good;
  const auto loaded = set->find("one")->match.executable_id;
  const FileNow upgraded = [](const std::string&) {
    return std::optional<badged::peers::FileId>({7, 77, 777});
  };
  CallerFacts facts = caller(990);
  facts.process.executable_id = {7, 77, 778};  // started from the new file
  CHECK(set->match(facts, upgraded).kind == Kind::matched);
  facts.process.executable_id = loaded;  // still the old one, untouched
  CHECK(set->match(facts, upgraded).kind == Kind::matched);
  facts.process.executable_id.ctime_ns += 1;  // a stranger's file on the old one's inode
  CHECK(set->match(facts, upgraded).kind == Kind::no_match);
  const FileNow gone = [](const std::string&) { return std::optional<badged::peers::FileId>(); };
  CHECK(set->match(facts, gone).kind == Kind::no_match);
}

TEST_CASE("records that differ by digest alone are told apart by it") {
  const auto set = load_two("uid = 990\nexecutable_sha256 = [\"" + kDigestA + "\"]\n",
                            "uid = 990\nexecutable_sha256 = [\"" + kDigestB + "\"]\n")
                       .good;
  CallerFacts facts = caller(990);
  CHECK(set->match(facts).kind == Kind::needs_digest);
  facts.executable_digest = Digest{};
  facts.executable_digest->fill(0xbb);
  CHECK(set->match(facts).record->name == "two");
}

TEST_CASE("explains to an admin the first rule that the nearest record fails") {
  const auto set = load({with_match("one", "unit = \"a.service\"\nuid = 990\n").file(),
                         with_match("two", "unit = \"b.service\"\nuid = 991\n").file()})
                       .good;
  const auto nearest = set->explain(caller(991, "x.service"));
  REQUIRE(nearest);
  CHECK(nearest->agent == "two");
  CHECK(nearest->rule == "unit");
  CHECK_THAT(nearest->message, Contains("it runs in 'x.service', the record wants 'b.service'"));
  CHECK_FALSE(nearest->remedy.empty());
  const auto far = set->explain(caller(4242, "x.service"));
  REQUIRE(far);
  CHECK(far->agent.empty());
  CHECK(far->remedy == "make one: badgectl agents new --unit x.service");
  CallerFacts good = caller(990, "a.service");
  good.main_process = MainProcess::yes;
  CHECK_FALSE(set->explain(good));
}

TEST_CASE("knows callers by uid and unit before anything is asked") {
  const auto set = load({with_match("one", "unit = \"a.service\"\nuid = 990\n").file(),
                         with_match("two", "uid = 991\n").file()})
                       .good;
  CHECK(set->knows(caller(990, "a.service").process));
  CHECK(set->knows(caller(991).process));
  CHECK_FALSE(set->knows(caller(990).process));
  CHECK_FALSE(set->knows(caller(5, "a.service").process));
}

TEST_CASE("ten thousand records load without comparing each with each, and match by index") {
  std::vector<std::pair<std::string, std::string>> files;
  for (int i = 0; i < 10'000; ++i) {
    // One uid for all, so that only units tell them apart.
    files.push_back(with_match("agent-" + std::to_string(i),
                               "unit = \"a" + std::to_string(i) +
                                   ".service\"\nuid = 990\nmain_process = false\n")
                        .file());
  }
  const LoadReport report = load(files);
  CHECK(report.clean());
  REQUIRE(report.good->records().size() == 10'000);
  CHECK(report.good->match(caller(990, "a9999.service")).record->name == "agent-9999");
  CHECK(report.good->match(caller(990, "a10000.service")).kind == Kind::no_match);
}
