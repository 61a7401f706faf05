// Records as people read them.
#include <algorithm>
#include <array>

#include "daemon/agents/report.h"

namespace badged::agents {
namespace {

// 9 + 5 * (2 + 12) = 79 columns.
constexpr std::size_t kLabelWidth = 9;
constexpr std::size_t kCellWidth = 12;
constexpr std::size_t kNamesPerCell = 8;  // then "+ N more": a screen, not a list

constexpr std::array<std::array<std::string_view, 2>, 5> kHeads{{{"public-", "read"},
                                                                 {"internal-", "read"},
                                                                 {"app-", "write"},
                                                                 {"admin", ""},
                                                                 {"infra-", "structure"}}};

std::string pad(std::string_view text, std::size_t width) {
  std::string out(text);
  out.resize(std::max(width, out.size()), ' ');
  return out;
}

std::string without_trailing_spaces(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);  // npos + 1 is 0
  return line + "\n";
}

char mark_of(Tier tier) {
  switch (tier) {
    case Tier::baseline:
      return '.';
    case Tier::elevated:
      return '+';
    case Tier::high_assurance:
      return '#';
  }
  return '?';
}

// "invoice-bot", or "mail-bot ^" where the tier is not the cell's; broken into lines of a cell.
void append_name(std::vector<std::string>& lines, const Record& record, Tier cell) {
  std::string text = record.name + (record.tier() == cell ? "" : " ^");
  for (std::size_t at = 0; at < text.size(); at += kCellWidth - 1) {
    lines.push_back((at == 0 ? "" : " ") + text.substr(at, kCellWidth - 1));
  }
}

std::vector<std::string> cell_lines(const RecordSet& records, const TierMap& map, Autonomy autonomy,
                                    Access access) {
  const Tier tier = map.at(autonomy, access);
  std::vector<std::string> lines{std::string("[") + mark_of(tier) + "]"};
  std::size_t count = 0;
  for (const auto& record : records.records()) {
    if (record->autonomy != autonomy || record->access != access) continue;
    if (++count <= kNamesPerCell) append_name(lines, *record, tier);
  }
  if (count > kNamesPerCell)
    lines.push_back("+ " + std::to_string(count - kNamesPerCell) + " more");
  return lines;
}

std::string rule_line() {
  std::string line(kLabelWidth, '-');
  for (std::size_t i = 0; i < kAccesses.size(); ++i) line += "+" + std::string(kCellWidth + 1, '-');
  return line + "\n";
}

std::string matrix_row(const RecordSet& records, const TierMap& map, Autonomy autonomy) {
  std::array<std::vector<std::string>, kAccesses.size()> cells;
  std::size_t height = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells[i] = cell_lines(records, map, autonomy, kAccesses[i]);
    height = std::max(height, cells[i].size());
  }
  std::string out;
  for (std::size_t y = 0; y < height; ++y) {
    std::string line = pad(y == 0 ? to_string(autonomy) : std::string_view(), kLabelWidth);
    for (const auto& cell : cells) {
      line += "| " + pad(y < cell.size() ? std::string_view(cell[y]) : "", kCellWidth);
    }
    out += without_trailing_spaces(line);
  }
  return out;
}

std::string match_words(const Match& match) {
  std::string out;
  auto add = [&](const std::string& word) { out += (out.empty() ? "" : " ") + word; };
  if (!match.unit.empty()) add("unit " + match.unit);
  if (match.main_process) add("(main process)");
  if (match.uid) {
    const std::string number = std::to_string(*match.uid);
    add("uid " + number + (match.uid_text == number ? "" : " (" + match.uid_text + ")"));
  }
  if (!match.executable.empty()) add("executable " + match.executable);
  if (!match.executable_sha256.empty()) {
    add("one of " + std::to_string(match.executable_sha256.size()) + " digests");
  }
  return out;
}

std::string joined(const std::vector<std::string>& words, std::string_view none) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out.empty() ? std::string(none) : out;
}

std::string line(std::string_view label, std::string_view value) {
  return pad(label, 18) + std::string(value) + "\n";
}

std::string indented(const Derivation& steps, std::string_view indent) {
  std::string out;
  for (const auto& step : steps) out += std::string(indent) + to_text({step});
  return out;
}

std::string vendor_words(const Vendor& vendor) {
  std::string out = vendor.name;
  if (vendor.contract_ends) out += ", contract ends " + to_string(*vendor.contract_ends);
  if (vendor.audit_access) out += *vendor.audit_access ? ", audit access" : ", no audit access";
  if (vendor.breach_notice_hours) {
    out += ", breach notice within " + std::to_string(*vendor.breach_notice_hours) + "h";
  }
  return out;
}

std::string grant_text(const Grant& grant, Tier tier, const TierLimits& limits) {
  Derivation steps;
  const auto lifetime = token_lifetime(grant, tier, limits, steps);
  std::string out = "\ngrant " + grant.audience + "\n";
  out += "  scope           " + joined(grant.scope, "(none)") + "\n";
  if (!grant.authorization_details_types.empty()) {
    out += "  details         " + joined(grant.authorization_details_types, "") + "\n";
  }
  out += "  proofs for      " + joined(grant.urls, "(nowhere)") + "\n";
  out += std::string("  token type      ") + (grant.bearer && limits.bearer ? "Bearer" : "DPoP") +
         "\n";
  out += "  lives           " + std::to_string(lifetime.count()) + "s\n";
  return out + indented(steps, "    ");
}

}  // namespace

std::string validation_text(const LoadReport& report, std::string_view directory) {
  std::string out;
  std::size_t errors = 0;
  for (const auto& problem : report.problems) {
    out += to_text(problem);
    if (problem.severity == Severity::error) ++errors;
  }
  const auto count = [](std::size_t n, const char* one, const char* many) {
    return std::to_string(n) + " " + (n == 1 ? one : many);
  };
  out += std::string(directory) + ": " + count(report.files, "record", "records") + ", " +
         count(report.good->records().size(), "is good", "are good") + ", " +
         count(errors, "error", "errors") + ", " +
         count(report.problems.size() - errors, "warning", "warnings") + ": ";
  return out + (report.clean() ? "would be served\n" : "a reload would keep what is in force\n");
}

std::string matrix_text(const RecordSet& records, const TierMap& map) {
  std::string out;
  for (std::size_t y = 0; y < 2; ++y) {
    std::string line = pad(y == 0 ? "autonomy" : "", kLabelWidth);
    for (const auto& head : kHeads) line += "| " + pad(head[y], kCellWidth);
    out += without_trailing_spaces(line);
  }
  for (Autonomy autonomy : kAutonomies) out += rule_line() + matrix_row(records, map, autonomy);
  out += rule_line();
  out += "[.] baseline   [+] elevated   [#] high-assurance\n";
  const bool any_vendor =
      std::any_of(records.records().begin(), records.records().end(),
                  [](const RecordPtr& record) { return record->vendor.has_value(); });
  if (any_vendor) out += "^ a vendor's agent: one tier stricter than its cell\n";
  return out;
}

std::string list_text(const RecordSet& records) {
  std::size_t width = 4;
  for (const auto& record : records.records()) width = std::max(width, record->name.size());
  std::string out = pad("NAME", width) + "  TIER            BINDING  MATCH\n";
  for (const auto& record : records.records()) {
    out += pad(record->name, width) + "  " + pad(to_string(record->tier()), 14) + "  " +
           pad(to_string(record->binding), 7) + "  " + match_words(record->match) + "\n";
  }
  return out;
}

std::string record_text(const Record& record, const TierLimitTable& limits) {
  std::string out = line("name", record.name) + line("owner", record.owner) +
                    line("purpose", record.purpose) +
                    line("cell", std::string(to_string(record.autonomy)) + " / " +
                                     std::string(to_string(record.access))) +
                    line("tier", to_string(record.tier())) + indented(record.derived.steps, "  ") +
                    line("data sensitivity", to_string(record.data_sensitivity)) +
                    line("business impact", to_string(record.business_impact)) +
                    line("exposure", to_string(record.exposure)) +
                    line("systems", joined(record.systems, "(none named)"));
  if (record.vendor) out += line("vendor", vendor_words(*record.vendor));
  if (record.reassess_by) out += line("reassess by", to_string(*record.reassess_by));
  out += line("binding", to_string(record.binding)) + line("match", match_words(record.match)) +
         line("record", record.file);
  for (const auto& grant : record.grants) {
    out += grant_text(grant, record.tier(), limits.of(record.tier()));
  }
  return out;
}

}  // namespace badged::agents
