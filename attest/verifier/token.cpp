#include "attest/verifier/token.h"

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <ctime>

#include "attest/jose/access_token.h"
#include "attest/jose/dpop.h"
#include "attest/jose/url.h"
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
    "  4 the replay file cannot be used, 5 the replay file is full of live proofs.\n"
    "Not checked here yet: the status list (revocation); --json says so in not_checked.";

Outcome unreadable(const Error& error) {
  return refusal(kMalformed, "invalid_input", error.what, error.hint);
}

Outcome misused(std::string what) {
  return refusal(kUsage, "invalid_usage", std::move(what), "see badge-verifier token --help");
}

// What the option parser cannot say. nullopt: all well.
std::optional<Outcome> check_usage(const TokenOptions& options) {
  if (options.token == "-" && options.jwks == "-")
    return misused("standard input can be only one of the files");
  if (options.replay == "-")
    return misused("--replay names a file that is read and written: standard input is none");
  if (!options.proof) return std::nullopt;
  if (*options.proof == "-" && (options.token == "-" || options.jwks == "-"))
    return misused("standard input can be only one of the files");
  auto url = normalise_htu(*options.url);
  if (!url) return misused("--url: " + url.error().what);
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
  list.emplace_back("status");
  return list;
}

std::string in_quotes(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
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
  text += "\nnot checked:";
  for (const auto& name : unchecked) text.append(" ").append(name.as_string().c_str());
  return text;
}

Outcome accepted(const TokenOptions& options, const VerifiedToken& token,
                 const VerifiedProof* proof) {
  Outcome outcome;
  json::array unchecked = not_checked(options, token, proof);
  outcome.text = describe(token, proof, unchecked);
  outcome.json = {{"valid", true}, {"bound", token.bound()}, {"claims", token.claims}};
  if (proof != nullptr)
    outcome.json["proof"] = {{"jkt", proof->jkt}, {"jti", proof->jti}, {"iat", proof->issued_at}};
  outcome.json["not_checked"] = std::move(unchecked);
  return outcome;
}

Outcome decide(const TokenOptions& options, const Jwks& keys, std::string_view token_text,
               const std::optional<std::string>& proof_text) {
  auto verifier = TokenVerifier::create(keys);
  if (!verifier) return unreadable(verifier.error());
  const std::int64_t now = options.at.value_or(std::time(nullptr));
  auto token = verifier->verify(token_text, {options.issuer, options.audience, now});
  if (!token) return rejected("invalid_token", token.error());
  if (!proof_text) return accepted(options, *token, nullptr);
  auto proof = check_proof(options, *proof_text, token_text, *token, now);
  if (!proof)
    return rejected(proof.error().reason == Reason::nonce ? "use_dpop_nonce" : "invalid_dpop_proof",
                    proof.error());
  return accepted(options, *token, &*proof);
}

}  // namespace

CLI::App* add_token_verb(CLI::App& app, TokenOptions& options) {
  auto* verb = app.add_subcommand("token", "Check an access token and the DPoP proof sent with it");
  verb->footer(kExamples);
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
  std::optional<std::string> proof;
  if (options.proof) {
    auto text = read_line_input(*options.proof, kJwsBytes);
    if (!text) return unreadable(text.error());
    proof = std::move(*text);
  }
  return decide(options, *keys, *token, proof);
}

}  // namespace badged::verifier
