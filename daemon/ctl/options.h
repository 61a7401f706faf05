// The command line of badgectl, parsed: no environment, file or socket is touched here except
// through the two strings in Environment.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace badged::ctl {

enum class Verb {
  token,
  proof,
  curl,
  exec,
  evidence,
  whoami,
  identity,
  doctor,
  agents_list,
  agents_show,
  agents_validate,
  agents_new,
  matrix,
  status,
  reload,
  revoke,
  audit_tail,
  audit_verify,
};

constexpr const char* default_socket = "/run/badged/agent.sock";
constexpr const char* default_admin_socket = "/run/badged/admin/admin.sock";
constexpr const char* default_config = "/etc/badged/badged.toml";

struct Options {
  Verb verb = Verb::status;
  bool json = false;
  std::string socket;
  std::string admin_socket;
  std::string config;
  bool config_given = false;

  std::string audience;
  std::vector<std::string> scope;
  bool fresh = false;              // token: not from the cache
  std::string subject_token_file;  // token: RFC 8693
  std::string subject_proof_file;
  std::string method;
  std::string url;
  std::string token_file;
  std::string nonce;
  std::string challenge;          // evidence
  std::vector<std::string> pcrs;  // evidence: "sha256:0,1,7", one per bank
  std::string out;                // evidence: a file in place of standard output
  std::string tpmt;               // identity: a file for the key as TPMT_PUBLIC
  bool host = false;              // evidence: about the host itself, by the admin socket
  std::optional<int> pid;
  std::string name;               // agents show, revoke --agent
  std::string jti;                // revoke
  std::string session;            // revoke
  std::string directory;          // agents validate
  std::string unit;               // agents new
  std::string since;              // audit tail
  int limit = 100;                // audit tail
  std::string file;               // audit verify
  std::string jwks_file;          // audit verify: the keys of the signed heads
  std::vector<std::string> rest;  // after "--": exec's command, curl's arguments
};

struct Environment {
  std::string socket;        // BADGED_SOCKET
  std::string admin_socket;  // BADGED_ADMIN_SOCKET
};

// Nothing to run: help and version (exit 0), or wrong usage (exit 2).
struct Stop {
  int exit_status = 0;
  std::string text;
  bool json = false;  // --json was among the arguments
};

// `arguments` without the program's name. Options may stand before or after the verb; what follows
// the first "--" belongs to the command of exec and to curl.
std::variant<Options, Stop> parse(std::vector<std::string> arguments,
                                  const Environment& environment);

}  // namespace badged::ctl
