// Reading what is to be checked: bounded, "-" is standard input.
#pragma once

#include <chrono>
#include <string>

#include "attest/limits.h"
#include "keystore/result.h"

namespace badged::verifier {

// For the verbs' help.
inline constexpr const char* kInputHelp =
    "\nA file may be a pipe, such as <(...), that ends within a minute; - is standard input.";

// A file, or a pipe (a FIFO, a shell's <(…)) whose writer comes and ends within `patience`;
// standard input until it ends. At most `max_bytes`; more is malformed. Errc::not_found or
// unavailable where it cannot be read, is a device, or does not end.
Result<std::string> read_input(const std::string& path, std::size_t max_bytes,
                               std::chrono::milliseconds patience = attest::kPipePatience);

// The same without the newline that editors and `echo` put at the end.
Result<std::string> read_line_input(const std::string& path, std::size_t max_bytes);

}  // namespace badged::verifier
