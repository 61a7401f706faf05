// Where the daemon logs: the journal with fields when systemd started it, else standard error.
//
// Never a token, key or secret; never a caller's bytes but for what peers and agents made
// printable.
#pragma once

#include <string>
#include <string_view>

namespace badged {

enum class Level { error = 3, warning = 4, notice = 5, info = 6 };  // syslog priorities

// `id` is the correlation id that a client saw (field BADGED_CORRELATION_ID), or empty.
void log(Level level, std::string_view message, std::string_view id = {});

}  // namespace badged
