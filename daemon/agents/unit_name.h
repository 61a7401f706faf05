// Names of system units, as systemd.unit(5) has them, narrowed to what can hold an agent.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace badged::agents {

// What is wrong with `name` as the `unit` of a record, and a hint; nothing when it is fine: a
// .service, exact or a template ("x@.service"), and no user manager ("user@1000.service" runs what
// its user likes, under names its user chooses).
std::optional<std::pair<std::string, std::string>> unit_name_problem(std::string_view name);

bool is_template_unit(std::string_view name);  // ends in "@.service"

// "x@y.service" -> "x@.service"; empty where `name` is no instance.
std::string template_of(std::string_view name);

}  // namespace badged::agents
