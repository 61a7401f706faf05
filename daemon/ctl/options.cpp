#include "daemon/ctl/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <sstream>

namespace badged::ctl {
namespace {

constexpr const char* footer =
    "Exit codes: 0 yes, 1 no or refused, 2 wrong usage, 3 malformed input, 4 something cannot be\n"
    "reached, 5 busy. Options may stand before or after the verb. --json prints one JSON object.";

void add_agent_verbs(CLI::App& app, Options& o, std::map<CLI::App*, Verb>& verbs) {
  CLI::App* token = app.add_subcommand("token", "get this process's access token");
  token->add_option("--audience", o.audience, "whom the token is for")->required();
  token->add_option("--scope", o.scope, "narrow to this scope; may be repeated")
      ->expected(1)
      ->take_all();
  token->add_option("--subject-token-file", o.subject_token_file,
                    "act for this token's subject, or narrow an own token; - is standard input");
  token->add_option("--subject-proof-file", o.subject_proof_file,
                    "the DPoP proof of a bound subject token that is another's");
  token->add_flag("--fresh", o.fresh, "a new token, not the one from badged's cache");
  verbs[token] = Verb::token;

  CLI::App* proof = app.add_subcommand("proof", "get a DPoP proof for one method and one URL");
  proof->add_option("--method", o.method, "HTTP method")->required();
  proof->add_option("--url", o.url, "URL of the request")->required();
  proof->add_option("--token-file", o.token_file, "file with the access token; - is standard input")
      ->required();
  proof->add_option("--nonce", o.nonce, "the nonce that the server gave");
  verbs[proof] = Verb::proof;

  CLI::App* curl = app.add_subcommand("curl", "call a resource with token and proof");
  curl->add_option("--audience", o.audience,
                   "whom the token is for; default: the grant of the URL");
  curl->add_option("--scope", o.scope, "narrow to this scope; may be repeated")
      ->expected(1)
      ->take_all();
  curl->add_option("url", o.url, "the resource")->required();
  curl->footer("After -- stand options of curl(1), without further URLs.");
  verbs[curl] = Verb::curl;

  CLI::App* exec = app.add_subcommand("exec", "run a command that shares this process's session");
  exec->footer("badgectl exec [OPTIONS] -- COMMAND [ARGUMENTS]");
  verbs[exec] = Verb::exec;

  CLI::App* evidence =
      app.add_subcommand("evidence", "what the TPM says of this host, for a verifier");
  evidence->add_option("--challenge", o.challenge, "the verifier's challenge, base64url")
      ->required();
  evidence->add_option("--audience", o.audience, "the verifier")->required();
  evidence->add_option("--pcrs", o.pcrs, "BANK:N,N,...[+BANK:N...]; default sha256:0 to 15")
      ->expected(1)
      ->take_all();
  evidence->add_option("--out", o.out, "write it to this file");
  evidence->add_flag("--host", o.host, "admin: about the host itself, not this process's session");
  verbs[evidence] = Verb::evidence;

  CLI::App* whoami = app.add_subcommand("whoami", "what badged sees of the caller");
  whoami->add_option("--pid", o.pid, "admin: of another process")
      ->check(CLI::Range(1, 4194304).description(""));
  verbs[whoami] = Verb::whoami;
  CLI::App* identity = app.add_subcommand("identity", "the host's attestation key as PEM");
  identity->add_option(
      "--tpmt", o.tpmt,
      "write it to this file as TPMT_PUBLIC: a verifier checks its attributes, too");
  verbs[identity] = Verb::identity;
}

void add_admin_verbs(CLI::App& app, Options& o, std::map<CLI::App*, Verb>& verbs) {
  verbs[app.add_subcommand("doctor", "what is wrong on this host and what to do")] = Verb::doctor;
  CLI::App* agents = app.add_subcommand("agents", "the agents' records");
  agents->require_subcommand(1)->fallthrough();
  verbs[agents->add_subcommand("list", "admin: all records in force")] = Verb::agents_list;
  CLI::App* show = agents->add_subcommand("show", "admin: one record and what follows from it");
  show->add_option("name", o.name, "name of the agent")->required();
  verbs[show] = Verb::agents_show;
  CLI::App* validate = agents->add_subcommand("validate", "check a directory of records");
  validate->add_option("directory", o.directory, "the directory")->required();
  verbs[validate] = Verb::agents_validate;
  CLI::App* fresh = agents->add_subcommand("new", "print the start of a record for a unit");
  fresh->add_option("--unit", o.unit, "system unit of the agent")->required();
  verbs[fresh] = Verb::agents_new;

  verbs[app.add_subcommand("matrix", "the agents by autonomy and access, with their tiers")] =
      Verb::matrix;
  verbs[app.add_subcommand("status", "admin: badged's own state")] = Verb::status;
  verbs[app.add_subcommand("reload", "admin: read the records again")] = Verb::reload;
  CLI::App* revoke =
      app.add_subcommand("revoke", "admin: end a token, a session, or an agent's all");
  revoke->add_option("--jti", o.jti, "the token with this id");
  revoke->add_option("--session", o.session, "a session, its key and its tokens");
  revoke->add_option("--agent", o.name, "all sessions and tokens of this agent");
  verbs[revoke] = Verb::revoke;
  CLI::App* audit = app.add_subcommand("audit", "the tamper-evident record");
  audit->require_subcommand(1)->fallthrough();
  CLI::App* tail = audit->add_subcommand("tail", "admin: the newest lines");
  tail->add_option("--since", o.since,
                   "from then on: 10m, 1h, a UNIX time or 2026-01-31T12:00:00Z");
  tail->add_option("--limit", o.limit, "at most so many lines")->check(CLI::Range(1, 1000));
  verbs[tail] = Verb::audit_tail;
  CLI::App* verify = audit->add_subcommand("verify", "check the chain of hashes");
  verify->add_option("file", o.file, "default: the live file of this host; - is standard input");
  verify->add_option("--jwks", o.jwks_file,
                     "keys of the signed heads; default: beside a live file");
  verbs[verify] = Verb::audit_verify;
}

void add_common(CLI::App& app, Options& o) {
  app.add_flag("--json", o.json, "exactly one JSON object on standard output");
  app.add_option("--socket", o.socket, "badged's socket for agents [BADGED_SOCKET]");
  app.add_option("--admin-socket", o.admin_socket, "badged's admin socket [BADGED_ADMIN_SOCKET]");
  app.add_option("--config", o.config, "badged's configuration (doctor, matrix, audit verify)");
}

std::vector<const CLI::App*> below(const CLI::App& app) {
  return app.get_subcommands(std::function<bool(const CLI::App*)>());
}

// All options that take a value: "--socket", and the next argument belongs to it.
void collect_valued(const CLI::App& app, std::set<std::string>& valued) {
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      if (option->get_items_expected_max() > 0) valued.insert("--" + name);
  for (const CLI::App* sub : below(app)) collect_valued(*sub, valued);
}

// The words of a command line with the verb (and the verb below it) brought to the front, so that
// options may precede it.
struct Words {
  std::vector<std::string> words;
  std::string unknown_verb;  // a first word that is none
};

Words verbs_first(const CLI::App& app, const std::vector<std::string>& arguments) {
  std::set<std::string> valued;
  collect_valued(app, valued);
  Words result;
  std::vector<std::string> others;
  const CLI::App* level = &app;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    bool option = word.size() > 1 && word[0] == '-';
    if (!option && level && !below(*level).empty()) {
      result.words.push_back(word);
      auto named = level->get_subcommands([&](const CLI::App* a) { return a->get_name() == word; });
      level = named.empty() ? nullptr : named.front();
      if (!level && result.unknown_verb.empty()) result.unknown_verb = word;
      continue;
    }
    others.push_back(word);
    if (valued.contains(word) && i + 1 < arguments.size()) others.push_back(arguments[++i]);
  }
  result.words.insert(result.words.end(), others.begin(), others.end());
  return result;
}

// The option of `app` and of the verbs given that has an empty value. Where a value narrows (a
// scope, a file), an empty one, say of an unset variable, must not silently mean all.
std::string empty_option(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options())
    for (const std::string& value : option->results())
      if (value.find_first_not_of(' ') == std::string::npos) return option->get_name();
  for (const CLI::App* sub : below(app))
    if (std::string name = empty_option(*sub); !name.empty()) return name;
  return {};
}

// What CLI11 cannot say. Empty: fine.
std::string complaint(const CLI::App& app, const Options& o) {
  if (std::string name = empty_option(app); !name.empty())
    return name + " is empty: give it a value or leave it out";
  if (o.verb == Verb::exec && o.rest.empty())
    return "exec needs a command: badgectl exec -- COMMAND [ARGUMENTS]";
  const int ends = (o.jti.empty() ? 0 : 1) + (o.session.empty() ? 0 : 1) + (o.name.empty() ? 0 : 1);
  if (o.verb == Verb::revoke && ends != 1)
    return "revoke needs one of --jti, --session and --agent";
  if (!o.subject_proof_file.empty() && o.subject_token_file.empty())
    return "--subject-proof-file belongs to --subject-token-file";
  if (o.subject_proof_file == "-" && o.subject_token_file == "-")
    return "standard input holds one thing: the subject token or its proof";
  return {};
}

}  // namespace

std::variant<Options, Stop> parse(std::vector<std::string> arguments,
                                  const Environment& environment) {
  Options o;
  o.socket = environment.socket.empty() ? default_socket : environment.socket;
  o.admin_socket =
      environment.admin_socket.empty() ? default_admin_socket : environment.admin_socket;
  o.config = default_config;

  CLI::App app("badgectl: the command line of badged, for agents and admins", "badgectl");
  app.require_subcommand(1)->fallthrough();
  app.set_version_flag("--version", "badgectl " BADGED_VERSION);
  app.footer(footer);
  std::map<CLI::App*, Verb> verbs;
  add_common(app, o);
  add_agent_verbs(app, o, verbs);
  add_admin_verbs(app, o, verbs);

  auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  std::vector<std::string> head(arguments.begin(), dashes);
  std::vector<std::string> tail(dashes == arguments.end() ? dashes : dashes + 1, arguments.end());
  bool json = std::find(head.begin(), head.end(), "--json") != head.end();
  try {
    auto [words, unknown_verb] = verbs_first(app, head);
    if (!unknown_verb.empty()) return Stop{2, "there is no verb " + unknown_verb, json};
    bool keeps_tail = !words.empty() && (words[0] == "exec" || words[0] == "curl");
    if (!keeps_tail && !tail.empty()) {  // "--" then only ends the options: -name may follow
      words.push_back("--");
      words.insert(words.end(), tail.begin(), tail.end());
    }
    std::reverse(words.begin(), words.end());
    app.parse(words);
    if (keeps_tail) o.rest = tail;
  } catch (const CLI::ParseError& e) {
    std::ostringstream out, err;
    int status = app.exit(e, out, err);
    std::string text = status == 0 ? out.str() : e.what();
    return Stop{status == 0 ? 0 : 2, text, json};
  }
  for (const auto& [command, verb] : verbs)
    if (command->parsed()) o.verb = verb;
  o.config_given = app.count("--config") > 0;
  if (std::string problem = complaint(app, o); !problem.empty()) return Stop{2, problem, json};
  return o;
}

}  // namespace badged::ctl
