// What is wrong with a file, for the person who will mend it.
//
// Parsers collect all problems of a file, not the first alone. A file with an error is not used; a
// warning changes nothing. Text quoted from the file is cut and made printable, so a diagnostic may
// go to a terminal or the journal as it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace badged::agents {

enum class Severity { warning, error };

struct Position {
  std::uint32_t line = 0;    // from 1; 0: the file or directory as a whole
  std::uint32_t column = 0;  // from 1, in characters; 0 together with line
};

struct Diagnostic {
  Severity severity = Severity::error;
  std::string file;  // as the admin knows it: the path given, or directory/name
  Position at;
  std::string message;  // what is wrong
  std::string hint;     // what to do; empty only where the message says it all
};

using Diagnostics = std::vector<Diagnostic>;

// One file's way to say what is wrong: appends to a list, and stops after kMaxProblemsPerFile.
class Reporter {
 public:
  Reporter(std::string_view file, Diagnostics& problems);
  void error(Position at, std::string message, std::string hint = {});
  void warn(Position at, std::string message, std::string hint = {});
  bool failed() const { return failed_; }  // an error was reported here

 private:
  void add(Severity severity, Position at, std::string message, std::string hint);

  std::string file_;
  Diagnostics& problems_;
  std::size_t added_ = 0;
  bool failed_ = false;
};

// By file, then line, then column.
void sort(Diagnostics& problems);

bool has_errors(const Diagnostics& problems);

// "FILE:LINE:COLUMN: error: MESSAGE\n  hint: HINT\n"; without a hint its line is left out.
std::string to_text(const Diagnostic& problem);
// FILE:LINE:COLUMN; the file alone where no place in it is meant.
std::string where(const Diagnostic& problem);

// `text` with anything but printable ASCII as \xHH.
std::string printable(std::string_view text);
// The same in single quotes, cut at 80 bytes.
std::string quoted(std::string_view text);

}  // namespace badged::agents
