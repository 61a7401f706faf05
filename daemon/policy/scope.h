// The `scope` of RFC 6749 3.3: words with spaces between them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace badged::policy {

// In their order, repetitions kept; empty words are none.
std::vector<std::string> split_scope(std::string_view text);

}  // namespace badged::policy
