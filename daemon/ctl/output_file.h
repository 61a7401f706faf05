// A result that goes to a file of the caller's choice.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "daemon/ctl/outcome.h"

namespace badged::ctl {

// All of it, or nothing: no half of it is ever at its place. - is standard output. What stands
// there and is no plain file, such as /dev/stdout, is written to. `what`, for the error: "the
// evidence".
std::optional<Failure> write_output(const std::string& path, std::string_view content,
                                    std::string_view what);

}  // namespace badged::ctl
