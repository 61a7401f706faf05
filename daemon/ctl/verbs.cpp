// The verbs that are one or two calls to badged.
#include "daemon/ctl/verbs.h"

#include <openssl/crypto.h>

#include <ctime>

#include "daemon/ctl/output_file.h"
#include "daemon/ctl/render.h"

namespace badged::ctl {
namespace {

Attempt<boost::json::object> ask_agent(const Options& options, const HttpCall& what) {
  Attempt<Client> client = agent_client(options);
  if (client.has_error()) return client.error();
  return call(client.value(), what);
}

Attempt<boost::json::object> ask_admin(const Options& options, const HttpCall& what) {
  Attempt<Client> client = admin_client(options);
  if (client.has_error()) return client.error();
  return call(client.value(), what);
}

HttpCall get(std::string target) {
  return {"GET", std::move(target), {}, {}, false};
}

bool is_method(const std::string& text) {
  return !text.empty() && text.find_first_not_of(
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                              "0123456789!#$%&'*+-.^_`|~") == std::string::npos;
}

// A file that holds one token or proof and white space after it.
Attempt<std::string> read_token(const std::string& path, const std::string& what,
                                const std::string& hint) {
  auto text = read_input(path, limits::token_file_bytes, what);
  if (text.has_error()) return text.error();
  std::string token = text.value();
  token.erase(token.find_last_not_of(" \t\r\n") + 1);
  if (token.empty() || !is_utf8(token))
    return Failure{Exit::malformed, "malformed", "read " + what + ": it holds no token", hint, {}};
  return token;
}

bool is_agent_name(const std::string& text) {
  return !text.empty() && text.size() <= 63 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

Attempt<HttpCall> token_request(const Options& options) {
  const TokenRequest request{options.audience, options.scope, {}, options.fresh};
  if (options.subject_token_file.empty()) return token_call(request);
  auto subject =
      read_token(options.subject_token_file, "the subject token file", "it holds one compact JWT");
  if (subject.has_error()) return subject.error();
  std::string proof;
  if (!options.subject_proof_file.empty()) {
    auto read = read_token(options.subject_proof_file, "the subject proof file",
                           "it holds the DPoP proof that came with the subject token");
    if (read.has_error()) return read.error();
    proof = read.value();
  }
  return exchange_call(request, subject.value(), proof);
}

}  // namespace

Failure with_process_hint(Failure failure) {
  bool mismatch = failure.error == "unauthorized_client" || failure.error == "invalid_token" ||
                  failure.error == "invalid_client";
  if (!mismatch) return failure;
  failure.hint +=
      std::string(failure.hint.empty() ? "" : ". ") +
      "badgectl is a process of its own: it serves records with binding = \"unit\"; for "
      "a record with binding = \"process\" the agent asks itself, or is started by "
      "badgectl exec -- COMMAND";
  return failure;
}

Outcome token(const Options& options) {
  auto request = token_request(options);
  if (request.has_error()) return request.error();
  auto answer = ask_agent(options, request.value());
  if (answer.has_error()) return with_process_hint(answer.error());
  std::string access_token = text_at(answer.value(), "access_token");
  if (access_token.empty())
    return Failure{
        Exit::unreachable, "bad_answer", "read badged's answer: no access_token", {}, {}};
  return Answer{std::move(answer.value()), access_token};
}

Outcome proof(const Options& options) {
  if (!is_method(options.method))
    return Failure{
        Exit::malformed, "malformed", "read --method: no HTTP method", "GET, POST, ...", {}};
  auto text = read_token(options.token_file, "the token file",
                         "write it with badgectl token --audience A >FILE");
  if (text.has_error()) return text.error();
  auto answer =
      ask_agent(options, proof_call({options.method, options.url, text.value(), options.nonce}));
  if (answer.has_error()) return with_process_hint(answer.error());
  std::string dpop = text_at(answer.value(), "dpop");
  if (dpop.empty())
    return Failure{Exit::unreachable, "bad_answer", "read badged's answer: no dpop", {}, {}};
  return Answer{std::move(answer.value()), dpop};
}

Outcome whoami(const Options& options) {
  auto answer = options.pid
                    ? ask_admin(options, get("/v1/whoami?pid=" + std::to_string(*options.pid)))
                    : ask_agent(options, get("/v1/whoami"));
  if (answer.has_error()) return answer.error();
  std::string text = whoami_text(answer.value());
  const auto* match = object_at(answer.value(), "match");
  if (!match || !text_at(*match, "record").empty())
    return Answer{std::move(answer.value()), std::move(text)};
  const std::string rule = text_at(*match, "first_failed_rule");
  const std::string remedy = text_at(*match, "satisfied_by");
  return verdict_no(std::move(answer.value()), std::move(text), "no_record",
                    "no record matches this process: " + rule, remedy);
}

namespace {

// What `ak_public` holds in hex.
std::optional<Failure> write_public_area(const boost::json::object& identity,
                                         const std::string& path) {
  const std::string hex = text_at(identity, "ak_public");
  if (hex.empty())
    return Failure{Exit::no,
                   "no_tpm",
                   "this host's attestation key is in no TPM: it has no TPMT_PUBLIC",
                   "without --tpmt its PEM is printed",
                   {}};
  std::string area(hex.size() / 2, '\0');
  std::size_t size = 0;
  if (OPENSSL_hexstr2buf_ex(reinterpret_cast<unsigned char*>(area.data()), area.size(), &size,
                            hex.c_str(), '\0') != 1 ||
      size != area.size())
    return Failure{Exit::unreachable, "bad_answer", "read badged's answer: ak_public", {}, {}};
  return write_output(path, area, "the attestation key");
}

}  // namespace

Outcome identity(const Options& options) {
  auto answer = ask_agent(options, get("/v1/identity"));
  if (answer.has_error()) return answer.error();
  const auto* pem = answer->if_contains("ak_pem");
  if (!pem || !pem->is_string())
    return Failure{Exit::unreachable, "bad_answer", "read badged's answer: no ak_pem", {}, {}};
  std::string text = printable({pem->get_string().data(), pem->get_string().size()}, true);
  if (!options.tpmt.empty()) {
    if (auto failure = write_public_area(answer.value(), options.tpmt)) return *std::move(failure);
    text.clear();
  }
  return Answer{std::move(answer.value()), text};
}

Outcome agents_list(const Options& options) {
  auto answer = ask_admin(options, get("/v1/agents"));
  if (answer.has_error()) return answer.error();
  std::string text = agents_text(answer.value());
  return Answer{std::move(answer.value()), text};
}

Outcome agents_show(const Options& options) {
  if (!is_agent_name(options.name))
    return Failure{
        Exit::malformed,
        "malformed",
        "read the agent's name " + options.name + ": names are 1 to 63 of a-z, 0-9 and -",
        "badgectl agents list",
        {}};
  auto answer = ask_admin(options, get("/v1/agents/" + options.name));
  if (answer.has_error()) return answer.error();
  std::string text = agent_text(answer.value());
  return Answer{std::move(answer.value()), text};
}

Outcome matrix(const Options& options) {
  if (options.config_given) return offline_matrix(options);
  auto answer = ask_admin(options, get("/v1/matrix"));
  if (answer.has_error()) {
    Failure failure = answer.error();
    if (failure.error == "unreachable")
      failure.hint += "; badgectl matrix --config FILE draws it from the files without badged";
    return failure;
  }
  std::string text = matrix_text(answer.value());
  return Answer{std::move(answer.value()), text};
}

Outcome status(const Options& options) {
  auto answer = ask_admin(options, get("/v1/status"));
  if (answer.has_error()) return answer.error();
  std::string text = status_text(answer.value());
  return Answer{std::move(answer.value()), text};
}

Outcome reload(const Options& options) {
  auto answer = ask_admin(options, {"POST", "/v1/reload", {}, {}, false});
  if (answer.has_error()) {
    Failure failure = answer.error();
    if (const auto* problems = array_at(failure.details, "problems"))
      failure.description += "\n" + problems_text(*problems);
    return failure;
  }
  bool changed = answer->contains("changed") && answer->at("changed") == true;
  std::string text = std::string(changed ? "reloaded" : "nothing changed") + ": " +
                     text_at(answer.value(), "agents") + " agents in force";
  return Answer{std::move(answer.value()), text};
}

Outcome audit_tail(const Options& options) {
  std::string target = "/v1/audit?limit=" + std::to_string(options.limit);
  if (!options.since.empty()) {
    auto since = parse_since(options.since, static_cast<long long>(std::time(nullptr)));
    if (since.has_error()) return since.error();
    target += "&since=" + std::to_string(since.value());
  }
  auto answer = ask_admin(options, get(target));
  if (answer.has_error()) return answer.error();
  std::string text;
  if (const auto* lines = array_at(answer.value(), "lines"))
    for (const auto& each : *lines) text += plain(each) + '\n';
  return Answer{std::move(answer.value()), text};
}

Outcome run(const Options& options) {
  switch (options.verb) {
    case Verb::token:
      return token(options);
    case Verb::proof:
      return proof(options);
    case Verb::curl:
      return curl(options);
    case Verb::exec:
      return exec(options);
    case Verb::evidence:
      return evidence(options);
    case Verb::whoami:
      return whoami(options);
    case Verb::identity:
      return identity(options);
    case Verb::doctor:
      return doctor(options);
    case Verb::agents_list:
      return agents_list(options);
    case Verb::agents_show:
      return agents_show(options);
    case Verb::agents_validate:
      return agents_validate(options);
    case Verb::agents_new:
      return agents_new(options);
    case Verb::matrix:
      return matrix(options);
    case Verb::status:
      return status(options);
    case Verb::reload:
      return reload(options);
    case Verb::revoke:
      return revoke(options);
    case Verb::audit_tail:
      return audit_tail(options);
    case Verb::audit_verify:
      return audit_verify(options);
  }
  return Failure{Exit::usage, "usage", "unknown verb", {}, {}};
}

}  // namespace badged::ctl
