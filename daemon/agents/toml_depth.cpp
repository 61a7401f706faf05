#include "daemon/agents/toml_depth.h"

#include <algorithm>

namespace badged::agents {
namespace {

// Past the end of the string that begins at `at`: basic, literal, or one of the two over many
// lines.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const std::string_view triple = quote == '"' ? "\"\"\"" : "'''";
  const bool long_form = text.substr(at, 3) == triple;
  for (at += long_form ? 3 : 1; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (long_form && text.substr(at, 3) == triple) {
      return at + 3;
    } else if (!long_form && (text[at] == quote || text[at] == '\n')) {
      return at + 1;
    }
  }
  return text.size();
}

std::size_t end_of_line(std::string_view text, std::size_t at) {
  return std::min(text.find('\n', at), text.size());
}

}  // namespace

std::optional<std::size_t> too_deep_at(std::string_view text) {
  std::size_t dots = 0;
  std::size_t open = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      at = end_of_string(text, at);
      continue;
    }
    if (c == '#') {
      at = end_of_line(text, at);
      continue;
    }
    if (c == '.' && ++dots >= kMaxKeyParts) return at;
    if (c == '[' || c == '{') ++open;
    if ((c == ']' || c == '}') && open > 0) --open;
    if (open > kMaxBrackets) return at;
    // A key ends at these; a header's brackets close on its line, so a newline needs no care.
    if (std::string_view("=,{}[]\n").find(c) != std::string_view::npos) dots = 0;
    ++at;
  }
  return std::nullopt;
}

}  // namespace badged::agents
