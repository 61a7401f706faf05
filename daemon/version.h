#pragma once

namespace badged {
inline constexpr const char* kVersion = "0.1.0";
}
