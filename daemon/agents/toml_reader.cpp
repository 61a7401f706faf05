#include "daemon/agents/toml_reader.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "daemon/agents/limits.h"
#include "daemon/agents/toml_depth.h"

namespace badged::agents {
namespace {

Position position_of(const toml::source_region& region) {
  return {region.begin.line, region.begin.column};
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a float";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
      return "a date";
    case toml::node_type::time:
      return "a time";
    case toml::node_type::date_time:
      return "a date with a time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

// Control characters (C0, DEL, C1) and those that change the direction of text (U+200E, U+200F,
// U+202A to U+202E, U+2066 to U+2069): they would let a record rewrite what an admin reads.
bool is_plain_line(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto at = [&](std::size_t k) {
      return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0U;
    };
    const unsigned c = at(0);
    if (c < 0x20 || c == 0x7f) return false;
    if (c == 0xc2 && at(1) < 0xa0) return false;
    if (c == 0xe2 && at(1) == 0x80 && (at(2) == 0x8e || at(2) == 0x8f)) return false;
    if (c == 0xe2 && at(1) == 0x80 && at(2) >= 0xa8 && at(2) <= 0xae) return false;
    if (c == 0xe2 && at(1) == 0x81 && at(2) >= 0xa6 && at(2) <= 0xa9) return false;
  }
  return true;
}

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  if (text.size() < 2 || text.size() > 7 || text[0] == '0') return std::nullopt;
  std::int64_t count = 0;
  for (char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    count = count * 10 + (c - '0');
  }
  switch (text.back()) {
    case 's':
      return std::chrono::seconds(count);
    case 'm':
      return std::chrono::minutes(count);
    case 'h':
      return std::chrono::hours(count);
    default:
      return std::nullopt;
  }
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t swap = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, swap});
    }
  }
  return row.back();
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

Position position_at(std::string_view text, std::size_t offset) {
  const auto before = text.substr(0, offset);
  const auto line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return {static_cast<std::uint32_t>(std::count(before.begin(), before.end(), '\n') + 1),
          static_cast<std::uint32_t>(offset - line_start + 1)};
}

}  // namespace

std::optional<std::string> nearest_word(std::string_view word,
                                        const std::vector<std::string>& words) {
  if (word.size() > 64) return std::nullopt;
  std::optional<std::string> best;
  std::size_t best_distance = 3;  // two slips at most
  for (const auto& candidate : words) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::optional<toml::table> parse_toml(std::string_view text, std::size_t max_bytes,
                                      Reporter& report) {
  if (text.size() > max_bytes) {
    report.error({}, "the file is larger than " + std::to_string(max_bytes) + " bytes",
                 "is it the right file? one file holds one record");
    return std::nullopt;
  }
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    report.error(position_at(text, nul), "a NUL byte",
                 "this is no text file, or it was written while the disk was full");
    return std::nullopt;
  }
  if (const auto deep = too_deep_at(text)) {
    report.error(position_at(text, *deep), "keys or brackets nest too deeply",
                 "nothing here has more than three parts: is a quote or a bracket missing?");
    return std::nullopt;
  }
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& e) {
    // The parser's words quote the file.
    report.error(position_of(e.source()), "not TOML: " + printable(e.description()),
                 "see https://toml.io; strings stand in double quotes, and a key may stand once");
  }
  return std::nullopt;
}

TomlTable::TomlTable(const toml::table& table, std::string title, Reporter& report)
    : table_(table), title_(std::move(title)), report_(report) {}

bool TomlTable::has(std::string_view key) const {
  return table_.contains(key);
}

Position TomlTable::at() const {
  const Position at = position_of(table_.source());
  return at.line == 0 ? Position{1, 1} : at;
}

Position TomlTable::at(std::string_view key) const {
  const auto* node = table_.get(key);
  if (node == nullptr || node->source().begin.line == 0) return at();
  return position_of(node->source());
}

std::string TomlTable::named(std::string_view key) const {
  return quoted(key) + (title_.empty() ? "" : " in " + title_);
}

const toml::node* TomlTable::find(std::string_view key, Need need) {
  known_.emplace_back(key);
  const auto* node = table_.get(key);
  if (node == nullptr && need == Need::required) {
    report_.error(at(), "missing " + named(key));
  }
  return node;
}

const toml::node* TomlTable::any(std::string_view key) {
  return find(key, Need::optional);
}

void TomlTable::wrong_type(const toml::node& node, std::string_view key, std::string_view wanted) {
  report_.error(position_of(node.source()), named(key) + " is " + std::string(type_name(node)),
                "write " + std::string(wanted));
}

void TomlTable::refuse_word(std::string_view key, std::string_view text, std::string_view choices) {
  error(key, named(key) + " cannot be " + quoted(text), "choose one of " + std::string(choices));
}

std::optional<std::string> TomlTable::line_of(const toml::node& node, std::string_view key,
                                              std::size_t max_bytes) {
  const auto* text = node.as_string();
  const Position where = position_of(node.source());
  if (text == nullptr) {
    wrong_type(node, key, "a string in double quotes");
    return std::nullopt;
  }
  const std::string& value = text->get();
  if (value.empty()) {
    report_.error(where, named(key) + " is empty", "fill it in or take the line out");
    return std::nullopt;
  }
  if (value.size() > max_bytes) {
    report_.error(where, named(key) + " is longer than " + std::to_string(max_bytes) + " bytes");
    return std::nullopt;
  }
  if (!is_plain_line(value)) {
    report_.error(where, named(key) + " holds control or direction characters: " + quoted(value),
                  "write it as one line of plain text");
    return std::nullopt;
  }
  return value;
}

std::optional<std::string> TomlTable::text(std::string_view key, Need need, std::size_t max_bytes) {
  const auto* node = find(key, need);
  if (node == nullptr) return std::nullopt;
  return line_of(*node, key, max_bytes);
}

std::optional<bool> TomlTable::flag(std::string_view key) {
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return std::nullopt;
  if (const auto* value = node->as_boolean()) return value->get();
  wrong_type(*node, key, "true or false, without quotes");
  return std::nullopt;
}

std::optional<std::int64_t> TomlTable::number(std::string_view key, std::int64_t low,
                                              std::int64_t high) {
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return std::nullopt;
  const auto* value = node->as_integer();
  if (value == nullptr) {
    wrong_type(*node, key, "a whole number");
    return std::nullopt;
  }
  if (value->get() < low || value->get() > high) {
    error(key, named(key) + " is " + std::to_string(value->get()),
          "from " + std::to_string(low) + " to " + std::to_string(high));
    return std::nullopt;
  }
  return value->get();
}

std::optional<std::chrono::year_month_day> TomlTable::date(std::string_view key) {
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return std::nullopt;
  const auto* value = node->as_date();
  if (value == nullptr) {
    wrong_type(*node, key, "a date such as 2027-03-01, without quotes and without a time");
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(value->get().year),
                                         std::chrono::month(value->get().month),
                                         std::chrono::day(value->get().day)};
  if (!date.ok()) {
    error(key, named(key) + " is no day of the calendar");
    return std::nullopt;
  }
  return date;
}

std::optional<std::chrono::seconds> TomlTable::duration(std::string_view key) {
  const auto text_ = text(key, Need::optional, 64);
  if (!text_) return std::nullopt;
  const auto value = parse_duration(*text_);
  if (!value) {
    error(key, named(key) + " is no duration: " + quoted(*text_),
          "a number and a unit: \"90s\", \"10m\", \"1h\"");
    return std::nullopt;
  }
  if (*value > kMaxDuration) {
    error(key, named(key) + " is longer than 24h", "tokens are short-lived: minutes, not days");
    return std::nullopt;
  }
  return value;
}

const toml::array* TomlTable::array(std::string_view key, std::size_t max_count) {
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return nullptr;
  const auto* items = node->as_array();
  if (items == nullptr) {
    wrong_type(*node, key, "an array: [ ... ]");
    return nullptr;
  }
  if (items->size() > max_count) {
    error(key, named(key) + " has " + std::to_string(items->size()) + " elements",
          "at most " + std::to_string(max_count));
    return nullptr;
  }
  return items;
}

std::vector<TomlTable::Item> TomlTable::texts(std::string_view key, std::size_t max_count,
                                              std::size_t max_bytes) {
  std::vector<Item> out;
  const auto* items = array(key, max_count);
  if (items == nullptr) return out;
  for (const toml::node& item : *items) {
    if (auto line = line_of(item, key, max_bytes)) {
      out.push_back({std::move(*line), position_of(item.source())});
    }
  }
  return out;
}

std::optional<TomlTable> TomlTable::table(std::string_view key, Need need) {
  const std::string title = "[" + std::string(key) + "]";
  const auto* node = find(key, Need::optional);
  if (node == nullptr) {
    if (need == Need::required) report_.error(at(), "missing " + title);
    return std::nullopt;
  }
  if (const auto* value = node->as_table()) return TomlTable(*value, title, report_);
  wrong_type(*node, key, "a table: " + title);
  return std::nullopt;
}

std::vector<TomlTable> TomlTable::tables(std::string_view key, std::size_t max_count) {
  std::vector<TomlTable> out;
  const std::string title = "[[" + std::string(key) + "]]";
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return out;
  known_.pop_back();
  if (!node->is_array()) {
    known_.emplace_back(key);
    wrong_type(*node, key, title + ", with two brackets: there can be several");
    return out;
  }
  const auto* items = array(key, max_count);
  if (items == nullptr) return out;
  for (const toml::node& item : *items) {
    if (const auto* value = item.as_table()) {
      out.emplace_back(*value, title, report_);
    } else {
      wrong_type(item, key, title + ", a table each");
    }
  }
  return out;
}

void TomlTable::error(std::string_view key, std::string message, std::string hint) {
  report_.error(at(key), std::move(message), std::move(hint));
}

void TomlTable::warn(std::string_view key, std::string message, std::string hint) {
  report_.warn(at(key), std::move(message), std::move(hint));
}

void TomlTable::finish() {
  for (const auto& [key, node] : table_) {
    if (std::find(known_.begin(), known_.end(), key.str()) != known_.end()) continue;
    const auto near = nearest_word(key.str(), known_);
    report_.error(position_of(key.source()), "unknown key " + named(key.str()),
                  near ? "did you mean " + quoted(*near) + "?" : "known here: " + listed(known_));
  }
}

}  // namespace badged::agents
