#include "attest/verifier/token.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/array.hpp>
#include <ctime>

#include "attest/jose/access_token.h"
#include "attest/jose/dpop.h"
#include "attest/jose/status_list.h"
#include "attest/jose/url.h"
#include "attest/json/text.h"
#include "attest/verifier/input.h"

namespace badged::verifier {

using namespace badged::attest;
namespace json = boost::json;

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  badge-verifier token --jwks jwks.json --issuer https://badged.example.org \\\n"
    "      --audience https://ledger.example.org/ token.txt\n"
    "  badge-verifier token --jwks jwks.json --issuer https://badged.example.org \\\n"
    "      --audience https://ledger.example.org/ --proof-file proof.txt --method GET \\\n"
    "      --url https://ledger.example.org/api/invoices --replay seen.txt --json - < token.txt\n"
    "Exit codes: 0 good, 1 refused, 2 wrong usage, 3 malformed or unreadable input,\n"
    "  4 the replay file cannot be used, 5 it is full of live proofs, or another process has\n"
    "  had it locked for 5 s.\n"
    "Revocation is checked with --status-list alone; --json says in not_checked what was not.";

// What the option parser cannot say. nullopt: all well.
std::optional<Outcome> check_usage(const TokenOptions& options) {
  const std::optional<std::string> files[] = {options.token, options.jwks, options.status_list,
                                              options.proof};
  if (std::count(std::begin(files), std::end(files), "-") > 1)
    return misused("token", "standard input can be only one of the files");
  if (options.replay == "-")
    return misused("token",
                   "--replay names a file that is read and written: standard input is none");
  if (!options.proof) return std::nullopt;
  auto url = normalise_htu(*options.url);
  if (!url) return misused("token", "--url: " + url.error().what);
  return std::nullopt;
}

// A file with several lines is what several DPoP header fields are to a server.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  lines.push_back(text);
  return lines;
}

Checked<VerifiedProof> check_proof(const TokenOptions& options, std::string_view proof_text,
                                   std::string_view token_text, const VerifiedToken& token,
                                   std::int64_t now) {
  if (auto fits = check_presentation(token, Presented::dpop); !fits) return fits.error();
  auto proof = single_proof(lines_of(proof_text));
  if (!proof) return proof.error();
  std::optional<ReplayFile> replay;
  if (options.replay) replay.emplace(*options.replay);
  const ProofExpectation expect{.method = *options.method,
                                .url = *options.url,
                                .access_token = token_text,
                                .jkt = token.jkt,
                                .nonce = options.nonce,
                                .now = now};
  return verify_proof(*proof, expect, replay ? &*replay : nullptr);
}

json::array not_checked(const TokenOptions& options, const VerifiedToken& token,
                        const VerifiedProof* proof) {
  json::array list;
  if (token.bound() && proof == nullptr) list.emplace_back("proof");
  if (token.bound() && !options.replay) list.emplace_back("replay");
  if (proof != nullptr && proof->nonce && !options.nonce) list.emplace_back("nonce");
  if (!options.status_list) list.emplace_back("status");
  return list;
}

std::string describe(const VerifiedToken& token, const VerifiedProof* proof,
                     const json::array& unchecked) {
  std::string text = "good: token of " + in_quotes(token.subject) + " for " +
                     in_quotes(token.audience) + ", expires at " + std::to_string(token.expires_at);
  if (!token.scope.empty()) text += "\nscope: " + in_quotes(token.scope);
  if (token.badged)
    text +=
        "\ntier: " + in_quotes(token.badged->tier) + ", keys: " + in_quotes(token.badged->custody);
  if (proof != nullptr)
    text += "\ngood: proof by the key that the token is bound to, " + proof->jkt;
  if (!token.bound()) text += "\nbound to no key: whoever holds it can use it";
  if (token.bound() && proof == nullptr)
    text += "\nWARNING: NO PROOF WAS CHECKED. The token is bound to the key " + token.jkt +
            ";\n  only its signature and claims are good. Whoever sends it must send a proof by "
            "that key:"
            "\n  give --proof-file, --method and --url.";
  if (!unchecked.empty()) text += "\nnot checked:";
  for (const auto& name : unchecked) text.append(" ").append(name.as_string().c_str());
  return text;
}

// What the list that was asked is worth: a copy past its ttl should be fetched again.
void describe_list(const StatusList& list, std::int64_t now, Outcome& outcome) {
  const bool fresh = !list.ttl() || now - list.issued_at() <= *list.ttl();
  outcome.json["status"] = {
      {"valid", true}, {"list_issued_at", list.issued_at()}, {"list_fresh", fresh}};
  outcome.text += "\nnot revoked, says the status list of " + std::to_string(list.issued_at());
  if (!fresh) outcome.text += "\nWARNING: that list is older than its ttl: fetch it again";
}

// What was found good. `proof` and `list` are null where none was given.
struct Found {
  const VerifiedToken& token;
  const VerifiedProof* proof = nullptr;
  const StatusList* list = nullptr;
};

Outcome accepted(const TokenOptions& options, const Found& found, std::int64_t now) {
  const auto& [token, proof, list] = found;
  Outcome outcome;
  json::array unchecked = not_checked(options, token, proof);
  outcome.text = describe(token, proof, unchecked);
  outcome.json = {{"valid", true}, {"bound", token.bound()}, {"claims", token.claims}};
  if (proof != nullptr)
    outcome.json["proof"] = {{"jkt", proof->jkt}, {"jti", proof->jti}, {"iat", proof->issued_at}};
  if (list != nullptr) describe_list(*list, now, outcome);
  outcome.json["not_checked"] = std::move(unchecked);
  return outcome;
}

// The files' contents, beside the token's.
struct Texts {
  std::optional<std::string> proof, status_list;
};

Outcome decide(const TokenOptions& options, const Jwks& keys, std::string_view token_text,
               const Texts& texts) {
  auto verifier = TokenVerifier::create(keys);
  if (!verifier) return unreadable(verifier.error());
  const std::int64_t now = options.at.value_or(std::time(nullptr));
  auto token = verifier->verify(token_text, {options.issuer, options.audience, now});
  if (!token) return rejected("invalid_token", token.error());
  // Before the proof: what a revoked token came with need not be remembered.
  std::optional<StatusList> list;
  if (texts.status_list) {
    auto read = StatusList::verify(*texts.status_list, keys, options.issuer, now);
    if (!read) return rejected("invalid_status_list", read.error());
    const auto reference = status_reference(token->claims);
    if (!reference) return rejected("invalid_token", reference.error());
    if (auto valid = read->check(*reference); !valid)
      return rejected("invalid_token", valid.error());
    list = std::move(*read);
  }
  const auto* asked = list ? &*list : nullptr;
  if (!texts.proof) return accepted(options, {*token, nullptr, asked}, now);
  auto proof = check_proof(options, *texts.proof, token_text, *token, now);
  if (!proof)
    return rejected(proof.error().reason == Reason::nonce ? "use_dpop_nonce" : "invalid_dpop_proof",
                    proof.error());
  return accepted(options, {*token, &*proof, asked}, now);
}

}  // namespace

CLI::App* add_token_verb(CLI::App& app, TokenOptions& options) {
  auto* verb = app.add_subcommand("token", "Check an access token and the DPoP proof sent with it");
  verb->footer(std::string(kExamples) + kInputHelp);
  verb->add_option("--jwks", options.jwks, "The issuer's key set, a file")->required();
  verb->add_option("--issuer", options.issuer, "Its https URL, compared with iss")->required();
  verb->add_option("--audience", options.audience, "Compared with aud")->required();
  auto* proof = verb->add_option("--proof-file", options.proof, "The DPoP header field's value");
  auto* method = verb->add_option("--method", options.method, "Of the request: GET");
  auto* url = verb->add_option("--url", options.url, "Of the request, as the client sees it");
  proof->needs(method, url);
  method->needs(proof);
  url->needs(proof);
  verb->add_option("--nonce", options.nonce, "The nonce that the server gave")->needs(proof);
  verb->add_option("--replay", options.replay, "Remembers proofs in this file, refuses repeats")
      ->needs(proof);
  verb->add_option("--status-list", options.status_list,
                   "The issuer's status list, a file: refuses what it says is revoked");
  verb->add_option("--at", options.at, "Check as of this Unix time instead of now")
      ->check(CLI::Range(std::int64_t{0}, kLatestTime));
  verb->add_option("TOKEN-FILE", options.token, "The token; - is standard input")->required();
  return verb;
}

Outcome run_token(const TokenOptions& options) {
  if (auto misuse = check_usage(options)) return *misuse;
  auto document = read_input(options.jwks, kJwksBytes);
  if (!document) return unreadable(document.error());
  auto keys = Jwks::parse(*document);
  if (!keys) return unreadable(keys.error());
  auto token = read_line_input(options.token, kJwsBytes);
  if (!token) return unreadable(token.error());
  Texts texts;
  if (options.proof) {
    auto text = read_line_input(*options.proof, kJwsBytes);
    if (!text) return unreadable(text.error());
    texts.proof = std::move(*text);
  }
  if (options.status_list) {
    auto text = read_line_input(*options.status_list, kStatusJwsBytes);
    if (!text) return unreadable(text.error());
    texts.status_list = std::move(*text);
  }
  return decide(options, *keys, *token, texts);
}

}  // namespace badged::verifier
