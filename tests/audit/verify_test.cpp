// `badgectl audit verify`: every break is named, and what cannot be known is said.
#include "daemon/audit/verify.h"

#include <sys/wait.h>

#include "attest/jose/jws.h"
#include "daemon/audit/checkpoint.h"
#include "keystore/memory_key.h"
#include "keystore/sha256.h"
#include "tests/audit/support.h"

using namespace badged;
using namespace badged::audit;
using namespace badged::test;

namespace {

constexpr std::int64_t kNow = 1769903999;

// A key that signs heads, and the JWKS that names it.
struct Witness {
  keystore::MemoryKey key = std::move(keystore::MemoryKey::generate()).value();
  std::string kid = attest::thumbprint(key.public_key());

  std::string jwks() const { return attest::Jwks({{kid, key.public_key(), "tpm", {}}}).to_json(); }
  std::string sign(const ChainLink& head) const {
    auto jws = checkpoint_signing_input("https://badged.example.org", kid, head, kNow);
    attest::append_signature(jws, key.sign(keystore::sha256(as_bytes(jws))).value());
    return jws;
  }
  Entry checkpoint(const ChainLink& head) const { return checkpoint_entry(head, sign(head)); }
};

// Appends a line with these members to a chain.
void extend(std::vector<std::string>& lines, const std::string& members) {
  ChainLink link = end_of(lines);
  std::string line;
  append_line(members, link, line);
  line.pop_back();
  lines.push_back(line);
}

Verdict verify(const std::string& file, const std::string& jwks = {}) {
  const auto verdict = verify_file(file, jwks);
  REQUIRE(verdict);
  return *verdict;
}

bool python_agrees(const std::string& file) {
  const std::string command = std::string(PYTHON) + " " + TEN_LINES + " " + file + " 2>/dev/null";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Ten lines, a checkpoint over the sixth in the middle, in a folder with the witness' JWKS.
struct Archive {
  Folder folder;
  Witness witness;
  std::string file = folder.path / "copy.jsonl";
  std::string jwks = folder.path / "jwks.json";
  std::vector<std::string> lines = chain(6);
  Archive() {
    extend(lines, witness.checkpoint(end_of(lines)).members());
    for (int i = 0; i < 3; ++i) extend(lines, R"("time":"t","kind":"token")");
    write_text(jwks, witness.jwks());
    save();
  }
  void save() { write_text(file, joined(lines)); }
  // All lines from `first` (counted from 1) on, hashed anew.
  void rehash_from(std::size_t first) {
    std::vector<std::string> out(lines.begin(),
                                 lines.begin() + static_cast<std::ptrdiff_t>(first) - 1);
    for (auto i = first - 1; i < lines.size(); ++i) {
      const auto& line = lines[i];
      const auto members = line.find(',', line.find("\"seq\"")) + 1;
      extend(out, line.substr(members, line.rfind(",\"hash\"") - members));
    }
    lines = out;
    save();
  }
};

}  // namespace

TEST_CASE("a live log is intact to its acknowledged end, and ten lines of Python agree") {
  const Folder folder;
  const Witness witness;
  {
    OpenLog open(folder);
    open.write_many(5);
    REQUIRE(open.write(witness.checkpoint(open.log->head())));
    open.write_many(2);
  }
  fs::create_directory(folder.path / "publish");
  write_text(folder.path / "publish" / "jwks.json", witness.jwks());
  const auto verdict = verify(folder.log());
  CHECK(verdict.intact);
  CHECK(verdict.problem.empty());
  CHECK(verdict.lines == 8);
  CHECK(verdict.head.seq == 8);
  CHECK(verdict.checkpoints == 1);
  CHECK(verdict.not_checked.empty());
  CHECK(python_agrees(folder.log()));
}

TEST_CASE("finds an edited, a dropped and a reordered line, as Python does") {
  Archive archive;
  CHECK(verify(archive.file, archive.jwks).intact);
  CHECK(python_agrees(archive.file));
  auto& lines = archive.lines;
  std::string problem;
  SECTION("edited") {
    lines[3].replace(lines[3].find("token"), 5, "tokem");
    problem = "line with seq 4 was edited";
  }
  SECTION("dropped") {
    lines.erase(lines.begin() + 3);
    problem = "a line was dropped or moved: seq 4 expected, 5 found";
  }
  SECTION("reordered") {
    std::swap(lines[8], lines[9]);
    problem = "a line was dropped or moved: seq 9 expected, 10 found";
  }
  SECTION("added") {
    lines.push_back("{}");
    problem = "read an audit line: it is too short";
  }
  SECTION("the first is gone") {
    lines.erase(lines.begin());
    problem = "a line was dropped or moved: seq 1 expected, 2 found";
  }
  archive.save();
  const auto verdict = verify(archive.file, archive.jwks);
  CHECK_FALSE(verdict.intact);
  CHECK(verdict.problem.substr(0, problem.size()) == problem);
  CHECK_FALSE(python_agrees(archive.file));
}

TEST_CASE("finds a cut tail of a live log; of an archived copy it says that it cannot") {
  const Folder folder;
  fill(folder, 6);
  auto lines = lines_of(folder.log());
  lines.resize(4);
  write_text(folder.log(), joined(lines));
  CHECK(verify(folder.log()).problem ==
        "the tail was cut: the last acknowledged line has seq 6, the file ends at 4");
  write_text(folder.log(), "");
  CHECK(verify(folder.log()).problem ==
        "the tail was cut: the last acknowledged line has seq 6, the file ends at 0");
  const auto copy = folder.path / "copy.jsonl";
  write_text(copy, joined(lines));
  const auto verdict = verify(copy);
  CHECK(verdict.intact);
  CHECK(std::count(verdict.not_checked.begin(), verdict.not_checked.end(), "tail") == 1);
}

TEST_CASE("a live log may be longer than its stored head, and half a line longer still") {
  const Folder folder;
  fill(folder, 3);
  const auto more = chain(2, end_of(lines_of(folder.log())));
  write_text(folder.log(), read_text(folder.log()) + more[0] + '\n' + more[1].substr(0, 20));
  const auto verdict = verify(folder.log());
  CHECK(verdict.intact);
  CHECK(verdict.lines == 4);
  const auto copy = folder.path / "copy.jsonl";
  write_text(copy, read_text(folder.log()));
  CHECK(verify(copy).problem == "the last line is torn");
}

TEST_CASE(
    "a log that is being written is read to its head and no further, or until it is stopped") {
  Archive archive;
  const auto head = end_of(chain(6));
  const auto file = archive.file;
  const auto written = [&](const std::stop_token& stop = {}) {
    return verify_written(file, end_of(archive.lines), stop);
  };
  CHECK(written()->intact);
  CHECK(written()->lines == 10);
  archive.lines[8] = "half a line, as it is being wri";
  archive.save();
  CHECK(verify_written(file, {6, head.hash}, {})->intact);
  CHECK(verify_written(file, {6, head.hash}, {})->lines == 6);
  CHECK_FALSE(verify_written(file, {6, {}}, {})->intact);
  archive.lines[3].replace(archive.lines[3].find("token"), 5, "tokem");
  archive.save();
  CHECK(
      verify_written(file, {6, head.hash}, {})->problem.starts_with("line with seq 4 was edited"));
  std::stop_source stop;
  stop.request_stop();
  CHECK(verify_written(file, {6, head.hash}, stop.get_token()).error().code == Errc::unavailable);
  CHECK(verify_written(file + ".none", head, {}).error().code == Errc::unavailable);
}

TEST_CASE("finds a chain that was rewritten from the start: the acknowledged line is another") {
  const Folder folder;
  fill(folder, 4);
  write_text(folder.log(), joined(chain(6)));
  CHECK(python_agrees(folder.log()));
  CHECK(verify(folder.log()).problem ==
        "line with seq 4 is not the one that was acknowledged: the file was rewritten");
}

TEST_CASE("a signed head proves an archived copy up to it") {
  Archive archive;
  const auto verdict = verify(archive.file, archive.jwks);
  CHECK(verdict.intact);
  CHECK(verdict.checkpoints == 1);
  CHECK(verdict.not_checked == std::vector<std::string>{"tail"});
  const auto unsigned_verdict = verify(archive.file);
  CHECK(unsigned_verdict.intact);
  CHECK(unsigned_verdict.checkpoints == 0);
  CHECK(unsigned_verdict.not_checked == std::vector<std::string>{"tail", "checkpoint signatures"});
}

TEST_CASE("finds a chain that was rewritten before a signed head") {
  Archive archive;
  auto& line = archive.lines[2];
  line.replace(line.find("token"), 5, "denia");
  archive.rehash_from(3);
  CHECK(python_agrees(archive.file));
  CHECK(verify(archive.file, archive.jwks).problem ==
        "a checkpoint is not what it claims to be: line with seq 6 is another than the one that "
        "was signed");
}

TEST_CASE("finds a forged checkpoint") {
  Archive archive;
  auto& line = archive.lines[6];
  SECTION("the signature was changed") {
    const auto at = line.find("\"jws\":\"") + 20;
    line[line.find('.', line.find('.', at) + 1) + 5] ^= 1;
  }
  SECTION("it claims another line") {
    line.replace(line.find("\"signed_seq\":6"), 14, "\"signed_seq\":5");
  }
  SECTION("it claims a line to come") {
    line.replace(line.find("\"signed_seq\":6"), 14, "\"signed_seq\":9");
  }
  SECTION("another kind of statement by the same key") {
    const auto at = line.find("\"jws\":\"") + 7;
    std::string other;
    attest::append_signing_input(
        other, R"({"alg":"ES256","kid":")" + archive.witness.kid + R"(","typ":"at+jwt"})",
        R"({"seq":6,"hash":")" +
            to_hex(end_of({archive.lines.begin(), archive.lines.begin() + 6}).hash) + "\"}");
    attest::append_signature(other,
                             archive.witness.key.sign(keystore::sha256(as_bytes(other))).value());
    line.replace(at, line.find('"', at) - at, other);
  }
  SECTION("its members are gone") {
    const auto at = line.find(",\"signed_seq\"");
    line.erase(at, line.rfind(",\"hash\"") - at);
    line.insert(at, ",\"x\":1");
  }
  archive.rehash_from(7);
  const auto verdict = verify(archive.file, archive.jwks);
  CHECK_FALSE(verdict.intact);
  CHECK(verdict.problem.starts_with("a checkpoint is not what it claims to be: "));
}

TEST_CASE("a checkpoint by a key that is not given proves nothing, and that is said") {
  Archive archive;
  write_text(archive.jwks, Witness().jwks());
  const auto verdict = verify(archive.file, archive.jwks);
  CHECK(verdict.checkpoints == 0);
  CHECK(verdict.not_checked == std::vector<std::string>{"tail", "checkpoint signatures"});
}

TEST_CASE("an archived chain without a single checkpoint says that no signature was checked") {
  const Folder folder;
  const auto file = folder.path / "copy.jsonl";
  write_text(file, joined(chain(3)));
  const auto verdict = verify(file);
  CHECK(verdict.intact);
  CHECK(verdict.not_checked == std::vector<std::string>{"tail", "checkpoint signatures"});
}

TEST_CASE("keys that were asked for and cannot be read are an error, never passed over") {
  Archive archive;
  CHECK(verify_file(archive.file, archive.jwks + ".missing").error().code == Errc::unavailable);
  write_text(archive.jwks, "{\"keys\":[");
  CHECK_FALSE(verify_file(archive.file, archive.jwks));
}

TEST_CASE("a file that cannot be read is an error; an endless line is a break") {
  const Folder folder;
  CHECK(verify_file(folder.path / "none").error().code == Errc::unavailable);
  const auto file = folder.path / "copy.jsonl";
  write_text(file, joined(chain(2)) + std::string(70'000, 'a'));
  CHECK(verify(file).problem == "a line is too long to be ours");
  write_text(file, "");
  CHECK(verify(file).intact);
}

TEST_CASE("the tail is the newest lines, from a time on, at most so many") {
  const Folder folder;
  const auto file = folder.path / "a.jsonl";
  write_text(file, joined(chain(5)));
  const auto lines = chain(5);
  CHECK(tail(file, 0, 100).value() == lines);
  CHECK(tail(file, 0, 2).value() == std::vector<std::string>{lines[3], lines[4]});
  CHECK(tail(file, 1769903999, 100).value().size() == 5);
  CHECK(tail(file, 1769904000, 100).value().empty());
  write_text(file, joined(lines) + "{\"prev\":\"half");
  CHECK(tail(file, 0, 100).value() == lines);
}
