#include "daemon/agents/diagnostic.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "daemon/agents/limits.h"

namespace badged::agents {

Reporter::Reporter(std::string_view file, Diagnostics& problems)
    : file_(file), problems_(problems) {}

void Reporter::error(Position at, std::string message, std::string hint) {
  failed_ = true;
  add(Severity::error, at, std::move(message), std::move(hint));
}

void Reporter::warn(Position at, std::string message, std::string hint) {
  add(Severity::warning, at, std::move(message), std::move(hint));
}

void Reporter::add(Severity severity, Position at, std::string message, std::string hint) {
  if (++added_ > kMaxProblemsPerFile) return;
  if (added_ == kMaxProblemsPerFile) {
    // An error, so that what is cut off can never be the only error.
    failed_ = true;
    problems_.push_back({Severity::error, file_, at, "too many problems in this file",
                         "mend the ones above and check again"});
    return;
  }
  problems_.push_back({severity, file_, at, std::move(message), std::move(hint)});
}

void sort(Diagnostics& problems) {
  auto key = [](const Diagnostic& d) { return std::tie(d.file, d.at.line, d.at.column); };
  std::stable_sort(problems.begin(), problems.end(),
                   [&](const Diagnostic& a, const Diagnostic& b) { return key(a) < key(b); });
}

bool has_errors(const Diagnostics& problems) {
  return std::any_of(problems.begin(), problems.end(),
                     [](const Diagnostic& d) { return d.severity == Severity::error; });
}

std::string where(const Diagnostic& problem) {
  if (problem.at.line == 0) return problem.file;
  return problem.file + ":" + std::to_string(problem.at.line) + ":" +
         std::to_string(problem.at.column);
}

std::string to_text(const Diagnostic& problem) {
  std::string text = where(problem);
  text += problem.severity == Severity::error ? ": error: " : ": warning: ";
  text += problem.message + "\n";
  if (!problem.hint.empty()) text += "  hint: " + problem.hint + "\n";
  return text;
}

std::string printable(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : text) {
    if (c >= 0x20 && c < 0x7f) {
      out += static_cast<char>(c);
    } else {
      out += "\\x";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  return out;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kMaxQuoted = 80;
  const char* end = text.size() > kMaxQuoted ? "...'" : "'";
  return "'" + printable(text.substr(0, kMaxQuoted)) + end;
}

}  // namespace badged::agents
