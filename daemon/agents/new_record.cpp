// `badgectl agents new --unit U`.
#include <algorithm>

#include "daemon/agents/report.h"
#include "daemon/agents/unit_name.h"

namespace badged::agents {
namespace {

// "Invoice_bot@eu.service" -> "invoice-bot-eu".
std::string name_for(std::string_view unit) {
  std::string name;
  for (char c : unit.substr(0, unit.rfind('.'))) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain) {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  name.resize(std::min(name.size(), kMaxNameBytes));
  name.erase(name.find_last_not_of('-') + 1);  // npos + 1 is 0
  return name.empty() ? "agent" : name;
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

Result<std::string> new_record(std::string_view unit) {
  if (auto problem = unit_name_problem(unit)) {
    return fail(Errc::malformed, "make a record for the unit: " + problem->first, problem->second);
  }
  const std::string name = name_for(unit);
  return "# Save as agents.d/" + name +
         ".toml, owned by root, mode 0644. Fill in what says FILL-IN;\n"
         "# `badgectl agents validate DIR` says what is missing, `badgectl reload` puts it in "
         "force.\n"
         "name = \"" +
         name +
         "\"   # [a-z0-9-]; the last part of the tokens' sub; the file's name\n"
         "owner = \"\"             # FILL-IN: who answers for it, a team's address\n"
         "purpose = \"\"           # FILL-IN: what it does, in one line\n"
         "\n"
         "# The cell. How far does it act without a person, and what does it hold?\n"
         "autonomy = \"\"          # FILL-IN: low | medium | high | adaptive\n"
         "access = \"\"            # FILL-IN: public-read | internal-read | app-write | admin | "
         "infrastructure\n"
         "# reassess_by = 2027-03-01   # required when autonomy is adaptive\n"
         "\n"
         "# What ranks it among others; no tier hangs on it.\n"
         "data_sensitivity = \"\"  # FILL-IN: public | internal | confidential | restricted\n"
         "business_impact = \"\"   # FILL-IN: low | moderate | high | critical\n"
         "exposure = \"\"          # FILL-IN: isolated | internal | partner | internet\n"
         "systems = []           # what it touches: [\"ledger\", \"mail\"]\n"
         "# vendor = { name = \"...\" }  # a third party's agent: one tier stricter\n"
         "\n"
         "# process: only the process that asked uses its tokens. unit: the unit's helpers do "
         "too.\n"
         "binding = \"process\"\n"
         "\n"
         "[match]                # every key that is given must hold\n"
         "unit = " +
         toml_string(unit) +
         "\n"
         "main_process = true    # not its tools and children\n"
         "# uid = \"...\"            # the user that the unit runs as, by name or number\n"
         "# executable = \"/usr/bin/python3.11\"\n"
         "\n"
         "[[grant]]\n"
         "audience = \"\"          # FILL-IN: the exact audience of the resource server\n"
         "scope = []             # all that it ever needs there: [\"invoices.read\"]\n"
         "max_lifetime = \"5m\"\n"
         "# urls = [\"https://...\"] # where its proofs may go; default: the audience, if an https "
         "URL\n";
}

}  // namespace badged::agents
