// Reading what is to be checked: bounded, "-" is standard input.
#pragma once

#include <string>

#include "keystore/result.h"

namespace badged::verifier {

// At most `max_bytes`; more is malformed. Errc::not_found or unavailable where it cannot be read.
Result<std::string> read_input(const std::string& path, std::size_t max_bytes);

// The same without the newline that editors and `echo` put at the end.
Result<std::string> read_line_input(const std::string& path, std::size_t max_bytes);

}  // namespace badged::verifier
