#include "daemon/policy/scope.h"

#include <algorithm>

namespace badged::policy {

std::vector<std::string> split_scope(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace badged::policy
