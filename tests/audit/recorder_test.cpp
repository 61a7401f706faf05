// Equal denials become one line and a count; what an agent repeats becomes counters.
#include "daemon/audit/recorder.h"

#include "daemon/audit/limits.h"
#include "tests/audit/support.h"

using namespace badged;
using namespace badged::audit;
using namespace badged::test;
using namespace std::chrono_literals;

namespace {

struct Recording {
  Folder folder;
  OpenLog open{folder};
  Recorder recorder{*open.log};
  Recorder::Clock::time_point start = Recorder::Clock::now();

  // Everything that was written so far, without the members that every line has.
  std::string written() {
    REQUIRE(open.write(Entry("mark")));
    std::string out;
    for (const auto& line : lines_of(folder.log())) {
      const auto kind = line.find("\"kind\":\"") + 8;
      auto text = line.substr(kind, line.find(",\"hash\"") - kind);
      if (!text.starts_with("mark")) out += text + '\n';
    }
    return out;
  }
};

}  // namespace

TEST_CASE("the first denial is a line at once, its equals are counted in one line a minute") {
  Recording r;
  CHECK_FALSE(r.recorder.counts_as_repeat(1000, "scope", r.start));
  for (int i = 1; i <= 41; ++i) CHECK(r.recorder.counts_as_repeat(1000, "scope", r.start + 1s));
  r.recorder.flush(r.start + 59s);
  CHECK(r.written().empty());
  CHECK(r.recorder.counts_as_repeat(1000, "scope", r.start + 59s));
  r.recorder.flush(r.start + 60s);
  CHECK(r.written() == "repeated\",\"uid\":1000,\"reason\":\"scope\",\"count\":42\n");
  // The next one is the first of its minute again.
  CHECK_FALSE(r.recorder.counts_as_repeat(1000, "scope", r.start + 61s));
}

TEST_CASE("another uid and another reason are lines of their own") {
  Recording r;
  CHECK_FALSE(r.recorder.counts_as_repeat(1000, "scope", r.start));
  CHECK_FALSE(r.recorder.counts_as_repeat(1001, "scope", r.start));
  CHECK_FALSE(r.recorder.counts_as_repeat(1000, "target", r.start));
  CHECK(r.recorder.counts_as_repeat(1001, "scope", r.start));
}

TEST_CASE("a denial that came once is not told twice") {
  Recording r;
  CHECK_FALSE(r.recorder.counts_as_repeat(1000, "scope", r.start));
  r.recorder.flush(r.start + 61s);
  r.recorder.flush(r.start + 62s, true);
  CHECK(r.written().empty());
}

TEST_CASE("a flood from thousands of uids is bounded, and counted in one common line") {
  Recording r;
  for (std::uint32_t uid = 0; uid < limits::kMaxDenialKinds; ++uid)
    REQUIRE_FALSE(r.recorder.counts_as_repeat(uid, "scope", r.start));
  for (std::uint32_t uid = 70000; uid < 70500; ++uid)
    REQUIRE(r.recorder.counts_as_repeat(uid, "scope", r.start));
  r.recorder.flush(r.start + 61s);
  CHECK(r.written() == "repeated\",\"reason\":\"other\",\"count\":500\n");
  CHECK_FALSE(r.recorder.counts_as_repeat(70000, "scope", r.start + 62s));
}

TEST_CASE("strangers of thousands of uids take no place from a listed agent") {
  Recording r;
  for (std::uint32_t uid = 0; uid < 2 * limits::kMaxDenialKinds; ++uid)
    r.recorder.counts_as_repeat(uid, "scope", r.start);
  CHECK_FALSE(r.recorder.counts_as_repeat(61001, "scope", r.start, Recorder::Who::listed));
  CHECK(r.recorder.counts_as_repeat(61001, "scope", r.start, Recorder::Who::listed));
  r.recorder.flush(r.start + 61s);
  CHECK(r.written().find("\"uid\":61001,\"reason\":\"scope\",\"count\":1") != std::string::npos);
  // Theirs are bounded, too.
  for (std::uint32_t uid = 0; uid < limits::kMaxListedDenialKinds; ++uid)
    REQUIRE_FALSE(r.recorder.counts_as_repeat(uid, "scope", r.start, Recorder::Who::listed));
  CHECK(r.recorder.counts_as_repeat(61001, "scope", r.start, Recorder::Who::listed));
}

TEST_CASE("a first denial that could not be written is told by the line of its minute") {
  Recording r;
  CHECK_FALSE(r.recorder.counts_as_repeat(1000, "scope", r.start));
  r.recorder.not_written(1000, "scope", r.start);
  r.recorder.flush(r.start + 60s);
  CHECK(r.written() == "repeated\",\"uid\":1000,\"reason\":\"scope\",\"count\":1\n");
  r.recorder.not_written(1001, "scope", r.start + 61s);  // its minute was over before the answer
  r.recorder.flush(r.start + 121s);
  CHECK(r.written().ends_with("\"uid\":1001,\"reason\":\"scope\",\"count\":1\n"));
}

TEST_CASE("what was counted and could not be written is counted on until it can be") {
  Recording r;
  r.recorder.flush(r.start);
  r.recorder.counts_as_repeat(1000, "scope", r.start);
  r.recorder.counts_as_repeat(1000, "scope", r.start);
  r.recorder.use("s1", "bot").proofs = 3;
  {
    const FileSizeLimit limit(0);
    r.recorder.flush(r.start + 60s);
    CHECK_FALSE(r.open.write(Entry("mark")));
  }
  ++r.recorder.use("s1", "bot").proofs;
  r.recorder.counts_as_repeat(1000, "scope", r.start + 60s);
  r.recorder.flush(r.start + 121s);
  const auto written = r.written();
  CHECK(written.find("\"reason\":\"scope\",\"count\":2\n") != std::string::npos);
  CHECK(written.find("\"cached_tokens\":0,\"proofs\":4\n") != std::string::npos);
}

TEST_CASE("cached tokens and proofs are one line per session and minute") {
  Recording r;
  r.recorder.flush(r.start);
  for (int i = 0; i < 5; ++i) ++r.recorder.use("s1", "bot").proofs;
  r.recorder.use("s1", "bot").cached_tokens += 7;
  r.recorder.use("s2", "bot");
  r.recorder.flush(r.start + 59s);
  CHECK(r.written().empty());
  r.recorder.flush(r.start + 60s);
  const std::string line =
      "use\",\"agent\":\"bot\",\"session\":\"s1\",\"cached_tokens\":7,\"proofs\":5\n";
  CHECK(r.written() == line);
  r.recorder.flush(r.start + 120s);
  CHECK(r.written() == line);
}

TEST_CASE("everything that was counted is written at the end") {
  Recording r;
  r.recorder.flush(r.start);
  ++r.recorder.use("s1", "bot").proofs;
  r.recorder.counts_as_repeat(7, "scope", r.start);
  r.recorder.counts_as_repeat(7, "scope", r.start);
  r.recorder.flush(r.start + 1s, true);
  CHECK(r.written() ==
        "repeated\",\"uid\":7,\"reason\":\"scope\",\"count\":1\n"
        "use\",\"agent\":\"bot\",\"session\":\"s1\",\"cached_tokens\":0,\"proofs\":1\n");
}

TEST_CASE("a line that is owed is written once the log takes it, in its order, once") {
  Recording r;
  REQUIRE(r.open.write(Entry("mark")));
  for (const auto* name : {"a", "b"}) CHECK(r.recorder.owe(Entry("revocation").text("name", name)));
  {
    const FileSizeLimit limit(read_text(r.folder.log()).size());
    r.recorder.flush(r.start);
    CHECK_FALSE(r.open.write(Entry("mark")));
  }
  CHECK(r.written().empty());
  for (int turn = 0; turn < 2; ++turn) {
    r.recorder.flush(r.start);
    CHECK(r.written() == "revocation\",\"name\":\"a\"\nrevocation\",\"name\":\"b\"\n");
  }
}

TEST_CASE("what is owed is bounded") {
  Recording r;
  for (std::size_t i = 0; i < limits::kMaxOwed; ++i) REQUIRE(r.recorder.owe(Entry("revocation")));
  CHECK_FALSE(r.recorder.owe(Entry("revocation")));
}
