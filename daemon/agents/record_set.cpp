#include "daemon/agents/record_set.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "daemon/agents/guarded_file.h"
#include "daemon/agents/unit_name.h"

namespace badged::agents {
namespace {

// How far one record goes with one caller. `passed` counts the rules that hold.
struct Check {
  std::optional<Mismatch> failed;  // the first rule that does not hold
  bool needs_main_process = false;
  bool needs_digest = false;
  int passed = 0;
};

Mismatch mismatch(const Record& record, std::string rule, std::string message, std::string remedy) {
  return {record.name, std::move(rule), std::move(message), std::move(remedy)};
}

bool unit_holds(const std::string& wanted, const peers::UnitFacts& unit) {
  if (!unit) return false;
  return is_template_unit(wanted) ? template_of(unit.name) == wanted : unit.name == wanted;
}

Mismatch unit_mismatch(const Record& record, const peers::UnitFacts& unit) {
  const std::string& wanted = record.match.unit;
  if (unit.name.empty()) {
    return mismatch(record, "unit",
                    "it runs in no system unit that counts, the record wants " + quoted(wanted),
                    "start it with systemctl start " + wanted +
                        "; what a delegated subtree or a user manager runs does not count");
  }
  return mismatch(record, "unit",
                  "it runs in " + quoted(unit.name) + ", the record wants " + quoted(wanted),
                  "start it as that unit, or make a record for its own unit");
}

Mismatch uid_mismatch(const Record& record, uid_t uid) {
  const Match& match = record.match;
  std::string wanted = std::to_string(*match.uid);
  if (match.uid_text != wanted) wanted += " (" + match.uid_text + ")";
  return mismatch(record, "uid",
                  "its uid is " + std::to_string(uid) + ", the record wants " + wanted,
                  "start it as that user (User= in its unit)");
}

bool executable_holds(const Match& match, const peers::ProcessFacts& process, FileNow look) {
  if (process.executable_id == match.executable_id) return true;
  const auto now = look(match.executable);
  return now && process.executable_id.is_same_file(*now);
}

void check_main_process(const Record& record, const CallerFacts& facts, Check& check) {
  if (!facts.main_process) {
    check.needs_main_process = true;
    return;
  }
  if (*facts.main_process == MainProcess::yes) {
    ++check.passed;
    return;
  }
  if (*facts.main_process == MainProcess::no) {
    check.failed = mismatch(record, "main_process", "it is not the main process of its unit",
                            "the agent itself must ask; for helpers of the unit the record needs "
                            "main_process = false, or binding = \"unit\"");
    return;
  }
  check.failed = mismatch(
      record, "main_process",
      "systemd does not say for sure which process is the unit's main one" +
          (facts.main_process_refused.empty() ? std::string() : ": " + facts.main_process_refused),
      "the unit must not have NotifyAccess=all or a PIDFile, and systemd must "
      "be reachable");
}

void check_digest(const Record& record, const CallerFacts& facts, Check& check) {
  if (!facts.executable_digest && facts.digest_refused.empty()) {
    check.needs_digest = true;
    return;
  }
  if (!facts.executable_digest) {
    check.failed = mismatch(
        record, "executable_sha256",
        "its executable cannot be hashed: " +
            (facts.digest_refused.empty() ? "not on a local file system" : facts.digest_refused),
        "run it from a local file system");
    return;
  }
  const auto& digests = record.match.executable_sha256;
  if (std::binary_search(digests.begin(), digests.end(), *facts.executable_digest)) {
    ++check.passed;
    return;
  }
  check.failed = mismatch(record, "executable_sha256",
                          "the digest of its executable is not in the record's list",
                          "if the new version is meant to run, add what sha256sum prints for it");
}

// In the order of cost; what costs is asked for only when all before it holds.
Check check(const Record& record, const CallerFacts& facts, FileNow look) {
  const Match& match = record.match;
  Check check;
  auto fail_first = [&](Mismatch why) {
    if (!check.failed) check.failed = std::move(why);
  };
  if (!match.unit.empty()) {
    if (unit_holds(match.unit, facts.process.unit)) {
      ++check.passed;
    } else {
      fail_first(unit_mismatch(record, facts.process.unit));
    }
  }
  if (match.uid) {
    if (*match.uid == facts.process.uid) {
      ++check.passed;
    } else {
      fail_first(uid_mismatch(record, facts.process.uid));
    }
  }
  if (check.failed) return check;
  if (!match.executable.empty() && !executable_holds(match, facts.process, look)) {
    check.failed = mismatch(record, "executable",
                            "it runs " + quoted(facts.process.executable) + ", the record wants " +
                                quoted(match.executable),
                            "mend `executable` in the record, or start the right program");
    return check;
  }
  if (!match.executable.empty()) ++check.passed;
  if (match.main_process) check_main_process(record, facts, check);
  if (check.failed) return check;
  if (!match.executable_sha256.empty()) check_digest(record, facts, check);
  return check;
}

Mismatch no_record_near(const peers::ProcessFacts& process) {
  const bool in_unit = static_cast<bool>(process.unit);
  return {"", in_unit ? "unit" : "uid",
          "no record has its uid " + std::to_string(process.uid) +
              (in_unit ? " or its unit " + quoted(process.unit.name) : ""),
          in_unit ? "make one: badgectl agents new --unit " + process.unit.name
                  : "make a record with uid = " + std::to_string(process.uid) +
                        ", or start it as a system unit"};
}

}  // namespace

std::optional<peers::FileId> file_now(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) return std::nullopt;
  return file_id(facts);
}

RecordSet::RecordSet(std::vector<RecordPtr> records) : records_(std::move(records)) {
  std::sort(records_.begin(), records_.end(),
            [](const RecordPtr& a, const RecordPtr& b) { return a->name < b->name; });
  for (std::size_t i = 0; i < records_.size(); ++i) {
    const Match& match = records_[i]->match;
    if (!match.unit.empty()) {
      by_unit_[match.unit].push_back(i);
    } else if (match.uid) {
      by_uid_[*match.uid].push_back(i);
    }
  }
}

RecordPtr RecordSet::find(std::string_view name) const {
  const auto found =
      std::lower_bound(records_.begin(), records_.end(), name,
                       [](const RecordPtr& a, std::string_view b) { return a->name < b; });
  return found != records_.end() && (*found)->name == name ? *found : nullptr;
}

template <class Visit>
void RecordSet::each_candidate(const peers::ProcessFacts& process, Visit visit) const {
  auto visit_group = [&](const auto& groups, const auto& key) {
    const auto group = groups.find(key);
    if (group == groups.end()) return;
    for (std::size_t i : group->second) visit(records_[i]);
  };
  if (!process.unit.name.empty()) {
    visit_group(by_unit_, process.unit.name);
    if (const auto pattern = template_of(process.unit.name); !pattern.empty()) {
      visit_group(by_unit_, pattern);
    }
  }
  visit_group(by_uid_, process.uid);
}

MatchOutcome RecordSet::match(const CallerFacts& facts, FileNow look) const {
  MatchOutcome outcome;
  int nearest = -1;
  int matched = 0;
  bool needs_main_process = false;
  bool needs_digest = false;
  each_candidate(facts.process, [&](const RecordPtr& record) {
    Check result = check(*record, facts, look);
    if (result.failed) {
      if (result.passed > nearest) {
        nearest = result.passed;
        outcome.mismatch = std::move(*result.failed);
      }
      return;
    }
    needs_main_process |= result.needs_main_process;
    needs_digest |= result.needs_digest;
    if (result.needs_main_process || result.needs_digest) return;
    ++matched;
    outcome.record = record;
  });
  if (needs_main_process || needs_digest) {
    return {.kind = needs_main_process ? MatchOutcome::Kind::needs_main_process
                                       : MatchOutcome::Kind::needs_digest,
            .record = nullptr,
            .mismatch = {}};
  }
  if (matched == 1) {
    return {
        .kind = MatchOutcome::Kind::matched, .record = std::move(outcome.record), .mismatch = {}};
  }
  if (matched > 1) {
    // Loading removes clashes, so this takes a file that became another's hard link since.
    outcome.mismatch = {outcome.record->name, "ambiguous", "two records match it",
                        "reload: the clash will be named"};
  } else if (nearest < 0) {
    outcome.mismatch = no_record_near(facts.process);
  }
  outcome.record = nullptr;
  return outcome;
}

std::optional<Mismatch> RecordSet::explain(const CallerFacts& facts, FileNow look) const {
  Mismatch nearest = no_record_near(facts.process);
  int passed = 0;  // a record that shares nothing with the process explains nothing
  for (const auto& record : records_) {
    Check result = check(*record, facts, look);
    if (!result.failed) return std::nullopt;
    if (result.passed > passed) {
      passed = result.passed;
      nearest = std::move(*result.failed);
    }
  }
  return nearest;
}

bool RecordSet::knows(const peers::ProcessFacts& process) const {
  bool known = false;
  each_candidate(process, [&](const RecordPtr& record) {
    const Match& match = record->match;
    known |= (match.unit.empty() || unit_holds(match.unit, process.unit)) &&
             (!match.uid || *match.uid == process.uid);
  });
  return known;
}

}  // namespace badged::agents
