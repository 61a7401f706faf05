#include "daemon/journal.h"

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cstdlib>

namespace badged {
namespace {

bool under_journal() {
  // Set by systemd where standard error is connected to the journal.
  static const bool connected = std::getenv("JOURNAL_STREAM") != nullptr;
  return connected;
}

}  // namespace

void log(Level level, std::string_view message, std::string_view id) {
  const auto length = static_cast<int>(message.size());
  if (under_journal()) {
    sd_journal_send("PRIORITY=%d", static_cast<int>(level), "MESSAGE=%.*s", length, message.data(),
                    "BADGED_CORRELATION_ID=%.*s", static_cast<int>(id.size()), id.data(), nullptr);
    return;
  }
  std::string line = "badged: ";
  if (level == Level::error) line += "error: ";
  if (level == Level::warning) line += "warning: ";
  line += message;
  if (!id.empty()) line += " [" + std::string(id) + "]";
  line += '\n';
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace badged
