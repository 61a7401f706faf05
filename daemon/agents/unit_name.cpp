#include "daemon/agents/unit_name.h"

#include <algorithm>

#include "daemon/agents/diagnostic.h"
#include "daemon/agents/limits.h"

namespace badged::agents {
namespace {

constexpr std::string_view kSuffix = ".service";
constexpr std::string_view kTemplateSuffix = "@.service";

bool is_unit_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view(":-_.\\@").find(c) != std::string_view::npos;
}

}  // namespace

std::optional<std::pair<std::string, std::string>> unit_name_problem(std::string_view name) {
  if (name.size() > kMaxUnitNameBytes) {
    return {{"a unit name longer than 255 bytes", "systemd has no such unit"}};
  }
  if (name.find_first_of("*?[]") != std::string_view::npos) {
    return {{"a pattern as unit name: " + quoted(name),
             "names are exact; for all instances of a template write \"x@.service\""}};
  }
  if (!std::all_of(name.begin(), name.end(), is_unit_char)) {
    return {
        {"no unit name: " + quoted(name), "letters, digits and : - _ . \\ @ (systemd.unit(5))"}};
  }
  if (!name.ends_with(kSuffix)) {
    return {{"not a service: " + quoted(name), "write the full name, ending in .service"}};
  }
  const auto stem = name.substr(0, name.size() - kSuffix.size());
  if (stem.empty() || stem.front() == '@' || stem.front() == '.') {
    return {{"no unit name: " + quoted(name), "something must stand before .service and before @"}};
  }
  if (stem.starts_with("user@")) {
    return {{"a user manager: " + quoted(name),
             "its user starts what it likes under it; make the agent a system unit"}};
  }
  return std::nullopt;
}

bool is_template_unit(std::string_view name) {
  return name.ends_with(kTemplateSuffix);
}

std::string template_of(std::string_view name) {
  if (!name.ends_with(kSuffix)) return {};
  const auto stem = name.substr(0, name.size() - kSuffix.size());
  const auto at = stem.find('@');
  if (at == std::string_view::npos || at == 0 || at + 1 == stem.size()) return {};
  return std::string(stem.substr(0, at)) + std::string(kTemplateSuffix);
}

}  // namespace badged::agents
