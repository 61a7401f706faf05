// badged's JSON answers as text for people. Tolerant: a member that is missing is left out, so that
// an older or newer badged still reads well. Pure functions; the text is harmless for a terminal.
#pragma once

#include <boost/json.hpp>
#include <string>

namespace badged::ctl {

std::string whoami_text(const boost::json::object& answer);
std::string status_text(const boost::json::object& answer);
std::string agents_text(const boost::json::object& answer);
// A record, what follows from it, and last what the agent could do at worst now.
std::string agent_text(const boost::json::object& answer);
std::string matrix_text(const boost::json::object& answer);
std::string problems_text(const boost::json::array& problems);

// "name: value" lines; what is nested is indented below its name.
std::string tree_text(const boost::json::object& object, int indent = 0);

}  // namespace badged::ctl
