// How deep a TOML text nests, before a parser recurses over it.
//
// toml++ bounds brackets but not dotted keys: `[a.a.a. …` in 32 KiB nests 16,000 tables, and its
// pass over them is recursive (a stack overflow where frames are large).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace badged::agents {

// Nothing of ours nests deeper than three tables; both bounds leave room for mistakes to be named.
constexpr std::size_t kMaxKeyParts = 16;
constexpr std::size_t kMaxBrackets = 16;

// The offset at which a key has more than kMaxKeyParts parts, or more than kMaxBrackets brackets
// are open. Strings and comments do not count. For text that is not TOML any answer is fine.
std::optional<std::size_t> too_deep_at(std::string_view text);

}  // namespace badged::agents
