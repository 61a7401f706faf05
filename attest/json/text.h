// Text that people will read: names out of tokens are chosen by strangers.
#pragma once

#include <string>
#include <string_view>

namespace badged::attest {

// Whether `text`, well-formed UTF-8 (RFC 3629), holds a character that a screen does not show as
// one: controls (C0, DEL, C1), spaces other than U+0020, joiners and other invisible ones, and
// those that set the direction of writing: U+0080-00A0, 1680, 2000-200F, 2028-202F, 205F-206F,
// 3000, FEFF. Of text that is not well-formed each byte counts as one, too.
bool has_unseen(std::string_view text);

// `text` as a JSON string with its quotes, such characters as \uHHHH: nothing of it acts on a
// terminal. Bytes that are no UTF-8 as append_json_string() writes them.
std::string in_quotes(std::string_view text);

}  // namespace badged::attest
