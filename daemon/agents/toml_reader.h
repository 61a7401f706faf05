// Strict reading of TOML: every key is asked for by name and type, and what was not asked for is an
// error. Shared by records and badged.toml; the only header that includes toml++.
//
// A TomlTable refers to the document and the Reporter it was made with: both must outlive it. One
// thread. Members that read a key report what is wrong and then return nothing, so that a caller
// goes on and collects the rest; only finish() knows unknown keys.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "daemon/agents/diagnostic.h"

namespace badged::agents {

// The document, or nothing after one diagnostic: TOML parsers stop at the first syntax error.
// Also refuses what the parser would take too far: texts over `max_bytes`, NUL bytes.
std::optional<toml::table> parse_toml(std::string_view text, std::size_t max_bytes,
                                      Reporter& report);

enum class Need { required, optional };

class TomlTable {
 public:
  // `title` names the table in messages: "[match]"; empty for the document.
  TomlTable(const toml::table& table, std::string title, Reporter& report);

  bool has(std::string_view key) const;
  Position at() const;                      // of the table
  Position at(std::string_view key) const;  // of the key's value; of the table where it is absent

  // One line of printable text, 1 to `max_bytes` bytes: no control and no direction characters.
  std::optional<std::string> text(std::string_view key, Need need, std::size_t max_bytes);
  std::optional<bool> flag(std::string_view key);
  std::optional<std::int64_t> number(std::string_view key, std::int64_t low, std::int64_t high);
  std::optional<std::chrono::year_month_day> date(std::string_view key);
  // "90s", "10m", "1h"; 1 second to kMaxDuration.
  std::optional<std::chrono::seconds> duration(std::string_view key);

  struct Item {
    std::string text;
    Position at;
  };
  // An array of such lines. Empty where the key is absent or wrong.
  std::vector<Item> texts(std::string_view key, std::size_t max_count, std::size_t max_bytes);

  std::optional<TomlTable> table(std::string_view key, Need need);
  std::vector<TomlTable> tables(std::string_view key, std::size_t max_count);

  // One of a closed set of words. `from` gives the value of a word; `choices` lists them for the
  // hint.
  template <class From>
  auto word(std::string_view key, Need need, From from, std::string_view choices)
      -> decltype(from(std::string_view{})) {
    auto text_ = text(key, need, 64);
    if (!text_) return std::nullopt;
    auto value = from(std::string_view(*text_));
    if (!value) refuse_word(key, *text_, choices);
    return value;
  }

  // A key whose type is one of several: marks it as known and hands out the node, or null.
  const toml::node* any(std::string_view key);

  void error(std::string_view key, std::string message, std::string hint = {});
  void warn(std::string_view key, std::string message, std::string hint = {});
  void finish();  // every key that nobody asked for is an error

 private:
  const toml::node* find(std::string_view key, Need need);
  const toml::array* array(std::string_view key, std::size_t max_count);
  std::optional<std::string> line_of(const toml::node& node, std::string_view key,
                                     std::size_t max_bytes);
  void wrong_type(const toml::node& node, std::string_view key, std::string_view wanted);
  void refuse_word(std::string_view key, std::string_view text, std::string_view choices);
  std::string named(std::string_view key) const;  // "'uid' in [match]"

  const toml::table& table_;
  std::string title_;
  Reporter& report_;
  std::vector<std::string> known_;
};

// The nearest of `words` by edit distance, when it is near enough to be a slip of the hand.
std::optional<std::string> nearest_word(std::string_view word,
                                        const std::vector<std::string>& words);

}  // namespace badged::agents
