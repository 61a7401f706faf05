// What a verifier remembers of a TPM.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "attest/evidence/appraise.h"
#include "attest/evidence/result.h"
#include "tests/attest/catch.h"
#include "tests/attest/evidence_maker.h"

using namespace badged;
using namespace badged::attest;
using test::EvidenceMaker;

namespace {

struct TemporaryState {
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      ("badged-state-" + std::to_string(::getpid()) + "-" + std::to_string(std::rand()));
  std::string path = (folder / "state").string();
  TemporaryState() { std::filesystem::create_directory(folder); }
  ~TemporaryState() { std::filesystem::remove_all(folder); }

  std::optional<Reason> check(const EvidenceMaker& maker, Findings* keep = nullptr) const {
    auto file = StateFile::open(path);
    if (!file) return file.error().reason;
    const auto appraisal = maker.appraise(std::move(*file));
    if (keep != nullptr) *keep = appraisal.findings;
    return appraisal.good() ? std::nullopt : std::optional(appraisal.rejection->reason);
  }
};

}  // namespace

// H21.
TEST_CASE("H21: counters and clock that went back are refused, and the state stays as it was") {
  const TemporaryState state;
  EvidenceMaker maker;
  CHECK(state.check(maker) == std::nullopt);
  const auto next = [&](std::uint64_t clock, std::uint32_t reset, std::uint32_t restart,
                        std::uint8_t safe = 1) {
    maker.quote.clock = clock;
    maker.quote.reset_count = reset;
    maker.quote.restart_count = restart;
    maker.quote.safe = safe;
    return state.check(maker);
  };
  CHECK(next(999, 5, 2) == Reason::went_back);
  CHECK(next(2000, 4, 9) == Reason::went_back);
  CHECK(next(2000, 5, 1) == Reason::went_back);
  CHECK(next(999, 5, 2, 0) == Reason::went_back);
  CHECK(next(999, 6, 0) == Reason::went_back);  // says that it is safe
  CHECK(next(1001, 5, 2) == std::nullopt);      // nothing above was remembered
  CHECK(next(1000, 6, 0, 0) == std::nullopt);   // the power failed: not safe
  CHECK(next(1000, 6, 1) == std::nullopt);
}

// H20.
TEST_CASE("H20: the same evidence twice, and another host's under the same state, are refused") {
  const TemporaryState state;
  EvidenceMaker maker, other;
  CHECK(state.check(maker) == std::nullopt);
  CHECK(state.check(maker) == Reason::replayed);
  maker.quote.clock += 1;
  CHECK(state.check(maker) == std::nullopt);
  other.quote.clock += 2;
  CHECK(state.check(other) == Reason::binding);
}

// H21.
TEST_CASE("H21: another firmware version is a warning and an affirming result no more") {
  const TemporaryState state;
  EvidenceMaker maker;
  CHECK(state.check(maker) == std::nullopt);
  maker.quote.clock += 1;
  maker.quote.firmware = 8;
  Findings findings;
  CHECK(state.check(maker, &findings) == std::nullopt);
  CHECK(findings.warned());
  maker.quote.clock += 1;
  CHECK(state.check(maker, &findings) == std::nullopt);
  CHECK_FALSE(findings.warned());
}

// H20. The lock and what was read are of the file that was replaced.
TEST_CASE("H20: a state file that was open for one judgement does not serve a second") {
  const TemporaryState state;
  const EvidenceMaker maker;
  auto file = StateFile::open(state.path).value();
  CHECK(std::move(file).replace({}));
  CHECK(std::move(file).replace({}).error().reason == Reason::state_broken);
  CHECK(maker.appraise(std::move(file)).rejection->reason == Reason::state_broken);
  static_assert(!std::is_copy_constructible_v<StateFile>);
}

TEST_CASE("a state file in the working directory needs no slash") {
  const TemporaryState state;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(state.folder);
  const auto kept = StateFile::open("state").value().replace({});
  std::filesystem::current_path(before);
  INFO((kept ? "" : kept.error().what));
  CHECK(kept);
}

TEST_CASE("a state that cannot be stored is one failed check, and no verdict on the host") {
  const TemporaryState state;
  EvidenceMaker maker;
  for (const bool seen : {false, true}) {
    if (seen) REQUIRE(state.check(maker) == std::nullopt);
    maker.quote.clock += 1;
    auto file = StateFile::open(state.path).value();
    std::filesystem::rename(state.folder, state.folder.string() + "-away");
    const auto appraisal = maker.appraise(std::move(file));
    std::filesystem::rename(state.folder.string() + "-away", state.folder);
    REQUIRE_FALSE(appraisal.good());
    CHECK(appraisal.rejection->reason == Reason::state_broken);
    std::vector<Finding::Result> of_state;
    for (const auto& finding : appraisal.findings.done())
      if (finding.check == "state") of_state.push_back(finding.result);
    CHECK(of_state == std::vector{Finding::Result::failed});
    const auto ear = attestation_result(appraisal, maker.expectation(), "test");
    CHECK(ear.at("ear_status").as_string() == "none");
    const auto& host = ear.at("submods").at("host");
    CHECK(host.at("ear_trustworthiness_vector").as_object().empty());
  }
}

TEST_CASE(
    "a state file that another process keeps locked is busy: no verdict, and no endless wait") {
  const TemporaryState state;
  const auto held = LockedFile::open(state.path).value();
  const auto busy = StateFile::open(state.path, std::chrono::milliseconds(0));
  REQUIRE_FALSE(busy);
  CHECK(busy.error().reason == Reason::busy);
}

TEST_CASE("refused evidence leaves no trace in the state") {
  const TemporaryState state;
  EvidenceMaker maker;
  maker.custody = "tpm";
  CHECK(state.check(maker) == Reason::not_attested);
  CHECK(std::filesystem::file_size(state.path) == 0);
}

TEST_CASE("a state file that is damaged, too new, a link or writable by others is not used") {
  const TemporaryState state;
  const EvidenceMaker maker;
  CHECK(state.check(maker) == std::nullopt);
  std::ifstream in(state.path);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  const auto write = [&](const std::string& text) { std::ofstream(state.path) << text; };
  for (const auto& bad :
       {good.substr(0, 20), std::string("{}"), good + good,
        std::string(R"({"format":"badged-tpm-state 2"})"), std::string(5000, ' ')}) {
    write(bad);
    CHECK(state.check(maker) == Reason::state_broken);
  }
  write(good);
  std::filesystem::permissions(state.path, std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  CHECK(state.check(maker) == Reason::state_broken);
  std::filesystem::rename(state.path, state.path + "2");
  std::filesystem::create_symlink(state.path + "2", state.path);
  CHECK(state.check(maker) == Reason::state_broken);
}
