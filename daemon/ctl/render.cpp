#include "daemon/ctl/render.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <map>
#include <vector>

#include "daemon/ctl/outcome.h"

namespace badged::ctl {
namespace {

using boost::json::array;
using boost::json::object;

void line(std::string& out, const std::string& name, const std::string& value) {
  if (value.empty()) return;
  out += name + std::string(name.size() < 11 ? 11 - name.size() : 1, ' ') + value + '\n';
}

std::string with(const std::string& prefix, const std::string& value,
                 const std::string& suffix = {}) {
  return value.empty() ? std::string() : prefix + value + suffix;
}

void lines_of(std::string& out, const std::string& name, const array* values) {
  if (!values) return;
  for (std::size_t i = 0; i < values->size(); ++i)
    line(out, i == 0 ? name : std::string(), plain((*values)[i]));
}

// One step of how a tier or a limit came about: {rule, reason, result}.
std::string step_text(const boost::json::value& step) {
  const object* parts = step.if_object();
  if (!parts) return plain(step);
  return text_at(*parts, "result") + with(": ", text_at(*parts, "reason")) +
         with(" (", text_at(*parts, "rule"), ")");
}

std::string grant_text(const object& grant) {
  return text_at(grant, "audience") + with(": ", text_at(grant, "scope")) +
         with(", at most ", text_at(grant, "lifetime_seconds"), " s") +
         with(", proofs for ", text_at(grant, "urls"));
}

void agent_lines(std::string& out, const object& agent) {
  std::string cell = with(" (autonomy ", text_at(agent, "autonomy")) +
                     with(", access ", text_at(agent, "access"), ")");
  line(out, "agent",
       text_at(agent, "name") + with(", tier ", text_at(agent, "tier")) + cell +
           with(", binding ", text_at(agent, "binding")));
  if (const array* steps = array_at(agent, "derivation"))
    for (std::size_t i = 0; i < steps->size(); ++i)
      line(out, i == 0 ? "because" : "", step_text((*steps)[i]));
  const array* grants = array_at(agent, "grants");
  if (!grants) return;
  for (const auto& grant : *grants)
    line(out, "grant", grant.is_object() ? grant_text(grant.get_object()) : plain(grant));
}

void match_lines(std::string& out, const object& match) {
  std::string record = text_at(match, "record");
  if (!record.empty()) return line(out, "record", record);
  line(out, "record", "none: this process gets no token");
  line(out, "nearest", text_at(match, "nearest"));
  line(out, "fails", text_at(match, "first_failed_rule") + with(": ", text_at(match, "message")));
  line(out, "satisfied", with("by: ", text_at(match, "satisfied_by")));
}

std::string cell_agents(const object& cell) {
  const array* agents = array_at(cell, "agents");
  std::string names;
  if (agents)
    for (const auto& agent : *agents) {
      const object* named = agent.if_object();
      names += (names.empty() ? "" : ", ") + (named ? text_at(*named, "name") : plain(agent));
    }
  return names;
}

// 2026-01-31T12:00:00Z
std::string utc(const object& from, std::string_view name) {
  const auto* value = from.if_contains(name);
  const auto* seconds = value ? value->if_int64() : nullptr;
  std::tm parts{};
  const std::time_t time = seconds ? *seconds : 0;
  std::array<char, 32> text{};
  if (!seconds || ::gmtime_r(&time, &parts) == nullptr) return text_at(from, name);
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

std::string now_text(const object& now) {
  std::string out = "now: " + counted(now, "tokens") + ", " + counted(now, "sessions") + '\n';
  const array* authority = array_at(now, "authority");
  if (!authority) return out;
  for (const auto& each : *authority)
    if (const object* sum = each.if_object())
      out += "  until " + utc(*sum, "until") + ": " + text_at(*sum, "audience") +
             with(": ", text_at(*sum, "scope")) +
             with(", details of type ", text_at(*sum, "authorization_details_types")) + " (" +
             counted(*sum, "tokens") + ')' + '\n';
  return out;
}

}  // namespace

std::string whoami_text(const object& answer) {
  std::string out;
  if (const object* process = object_at(answer, "process")) {
    line(out, "process",
         text_at(*process, "pid") + with(", uid ", text_at(*process, "uid")) +
             with(", gid ", text_at(*process, "gid")) +
             with(", ", text_at(*process, "executable")));
    line(
        out, "unit",
        text_at(*process, "unit") + with(" (invocation ", text_at(*process, "invocation_id"), ")"));
  }
  if (const object* agent = object_at(answer, "agent")) agent_lines(out, *agent);
  if (const object* match = object_at(answer, "match")) match_lines(out, *match);
  if (const object* session = object_at(answer, "session"))
    line(out, "session",
         text_at(*session, "id") + with(", binding ", text_at(*session, "binding")) +
             with(", key in ", text_at(*session, "custody")) +
             with(", jkt ", text_at(*session, "jkt")));
  return out;
}

std::string problems_text(const array& problems) {
  std::string out;
  for (const auto& problem : problems) {
    const object* p = problem.if_object();
    if (!p) {
      out += plain(problem) + '\n';
      continue;
    }
    std::string where = text_at(*p, "file");
    std::string number = text_at(*p, "line");
    if (!number.empty() && number != "0") where += ':' + number + with(":", text_at(*p, "column"));
    out += where + with(": ", text_at(*p, "message")) + '\n' +
           with("  hint: ", text_at(*p, "hint"), "\n");
  }
  return out;
}

std::string status_text(const object& answer) {
  std::string out;
  line(out, "badged",
       text_at(answer, "version") + with(", up ", text_at(answer, "uptime_s"), " s"));
  line(out, "issuer", text_at(answer, "issuer"));
  line(out, "host", text_at(answer, "host"));
  if (const object* store = object_at(answer, "keystore")) {
    line(out, "keystore",
         text_at(*store, "kind") + with(", ", text_at(*store, "condition")) +
             with(", issuing key in ", text_at(*store, "custody")));
    line(out, "", text_at(*store, "message"));
    line(out, "", with("hint: ", text_at(*store, "hint")));
  }
  const object* agents = object_at(answer, "agents");
  const array* problems = agents ? array_at(*agents, "problems") : nullptr;
  if (agents)
    line(out, "agents",
         text_at(*agents, "good") + " in force, " +
             std::to_string(problems ? problems->size() : 0) + " problems");
  line(out, "sessions", text_at(answer, "sessions"));
  line(out, "connected", text_at(answer, "connections"));
  if (const object* audit = object_at(answer, "audit"))
    line(out, "audit",
         text_at(*audit, "state") + with(", line ", text_at(*audit, "seq")) +
             with(" of ", text_at(*audit, "path")));
  lines_of(out, "warning", array_at(answer, "warnings"));
  if (problems && !problems->empty()) out += '\n' + problems_text(*problems);
  return out;
}

std::string agents_text(const object& answer) {
  const array* agents = array_at(answer, "agents");
  if (!agents) return tree_text(answer);
  std::string out;
  for (const auto& agent : *agents) {
    const object* a = agent.if_object();
    std::string name = a ? text_at(*a, "name") : plain(agent);
    out += name;
    if (a) {
      out += std::string(name.size() < 24 ? 24 - name.size() : 1, ' ') + text_at(*a, "tier") +
             with(", binding ", text_at(*a, "binding")) + with(", ", text_at(*a, "owner"));
    }
    out += '\n';
  }
  if (agents->empty()) out = "no agent: put records into agents_dir, then badgectl reload\n";
  return out;
}

std::string agent_text(const object& answer) {
  object record = answer;
  record.erase("now");
  const object* now = object_at(answer, "now");
  return tree_text(record) + (now ? now_text(*now) : std::string());
}

std::string matrix_text(const object& answer) {
  const array* cells = array_at(answer, "cells");
  if (!cells) return tree_text(answer);
  std::string out = "autonomy   access          tier            agents\n";
  auto column = [](const std::string& text, std::size_t width) {
    return text + std::string(text.size() < width ? width - text.size() : 1, ' ');
  };
  for (const auto& each : *cells) {
    const object* cell = each.if_object();
    if (!cell) continue;
    std::string row = column(text_at(*cell, "autonomy"), 11) +
                      column(text_at(*cell, "access"), 16) + column(text_at(*cell, "tier"), 16) +
                      cell_agents(*cell);
    out += row.substr(0, row.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

std::string tree_text(const object& source, int indent) {
  std::string out, margin(static_cast<std::size_t>(indent), ' ');
  for (const auto& member : source) {
    std::string name = margin + printable(member.key()) + ':';
    const auto& value = member.value();
    const array* list = value.if_array();
    bool blocks =
        list && !list->empty() &&
        std::all_of(list->begin(), list->end(), [](const auto& e) { return e.is_object(); });
    if (value.is_object()) {
      out += name + '\n' + tree_text(value.get_object(), indent + 2);
    } else if (blocks) {
      out += name + '\n';
      for (const auto& element : *list)
        out += margin + "  -\n" + tree_text(element.get_object(), indent + 4);
    } else {
      out += name + ' ' + plain(value) + '\n';
    }
  }
  return out;
}

}  // namespace badged::ctl
