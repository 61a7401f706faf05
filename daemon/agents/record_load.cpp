// From a directory to the records that may be served, and everything that is wrong with the others.

#include <algorithm>
#include <memory>
#include <utility>

#include "daemon/agents/guarded_file.h"
#include "daemon/agents/record_clash.h"
#include "daemon/agents/record_set.h"

namespace badged::agents {
namespace {

void load_text(std::string_view text, const std::string& file, const TierRules& rules,
               const Accounts& accounts, std::vector<RecordPtr>& records, Diagnostics& problems) {
  ParsedRecord parsed = parse_record(text, file);
  problems.insert(problems.end(), parsed.problems.begin(), parsed.problems.end());
  if (!parsed.record) return;
  Diagnostics settling;
  settle_record(*parsed.record, rules, accounts, settling);
  const bool good = !has_errors(settling);
  problems.insert(problems.end(), std::make_move_iterator(settling.begin()),
                  std::make_move_iterator(settling.end()));
  if (good) records.push_back(std::make_shared<const Record>(std::move(*parsed.record)));
}

LoadReport finish(std::vector<RecordPtr> records, Diagnostics problems, std::size_t files) {
  std::sort(records.begin(), records.end(),
            [](const RecordPtr& a, const RecordPtr& b) { return a->name < b->name; });
  remove_clashes(records, problems);
  sort(problems);
  return {std::make_shared<const RecordSet>(std::move(records)), std::move(problems), files};
}

LoadReport unreadable(const std::string& directory, const Error& error) {
  Diagnostics problems;
  Reporter(directory, problems).error({}, error.what, error.hint);
  return finish({}, std::move(problems), 0);
}

}  // namespace

LoadReport load_directory(const std::string& directory, const TierRules& rules,
                          const Accounts& accounts) {
  auto opened = GuardedDirectory::open(directory);
  if (!opened) return unreadable(directory, opened.error());
  auto names = opened->names(kMaxEntries);
  if (!names) return unreadable(directory, names.error());

  Diagnostics problems;
  std::vector<RecordPtr> records;
  std::size_t files = 0;
  for (const auto& name : *names) {
    const std::string file = directory + "/" + printable(name);
    Reporter report(file, problems);
    if (!name.ends_with(".toml") || name.starts_with(".")) {
      report.warn({}, "not a record: its name does not end in .toml or starts with a dot",
                  "records are named NAME.toml; move other files elsewhere");
      continue;
    }
    if (++files > kMaxRecords) {
      report.error({}, "more than " + std::to_string(kMaxRecords) + " records",
                   "split the agents over several hosts");
      break;
    }
    if (problems.size() > kMaxProblems) {
      report.error({}, "too many problems in this directory", "mend the ones above first");
      break;
    }
    auto text = opened->read(name, kMaxRecordBytes);
    if (!text) {
      report.error({}, text.error().what, text.error().hint);
      continue;
    }
    load_text(*text, file, rules, accounts, records, problems);
  }
  return finish(std::move(records), std::move(problems), files);
}

LoadReport load_texts(std::span<const std::pair<std::string, std::string>> files,
                      const TierRules& rules, const Accounts& accounts) {
  Diagnostics problems;
  std::vector<RecordPtr> records;
  for (const auto& [file, text] : files) {
    load_text(text, file, rules, accounts, records, problems);
  }
  return finish(std::move(records), std::move(problems), files.size());
}

}  // namespace badged::agents
