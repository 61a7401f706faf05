// A record's text, without the host: parse_record() answers in bounded, printable words.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/agents/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace badged::agents;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ParsedRecord parsed = parse_record(text, "agents.d/invoice-bot.toml");
  if (parsed.record.has_value() == has_errors(parsed.problems)) std::abort();
  if (parsed.problems.size() > kMaxProblemsPerFile) std::abort();
  for (const auto& problem : parsed.problems) {
    for (char c : to_text(problem)) {
      if (c != '\n' && (c < 0x20 || c >= 0x7f)) std::abort();
    }
  }
  if (!parsed.record) return 0;
  const Record& record = *parsed.record;
  if (record.name != "invoice-bot") std::abort();
  if (record.match.unit.empty() && record.match.uid_text.empty()) std::abort();
  if (record.autonomy == Autonomy::adaptive && !record.reassess_by) std::abort();
  return 0;
}
