// The verbs. Each takes the parsed options and returns what to print; none exits or throws for an
// expected failure.
#pragma once

#include "daemon/ctl/client.h"
#include "daemon/ctl/options.h"
#include "daemon/ctl/outcome.h"

namespace badged::ctl {

Outcome run(const Options& options);  // picks one of these

Outcome token(const Options&);
Outcome proof(const Options&);
Outcome curl(const Options&);      // curl.cpp
Outcome exec(const Options&);      // exec.cpp
Outcome evidence(const Options&);  // evidence.cpp
Outcome whoami(const Options&);
Outcome identity(const Options&);
Outcome doctor(const Options&);          // doctor.cpp
Outcome offline_matrix(const Options&);  // offline.cpp
Outcome agents_list(const Options&);
Outcome agents_show(const Options&);
Outcome agents_validate(const Options&);  // offline.cpp
Outcome agents_new(const Options&);       // offline.cpp
Outcome matrix(const Options&);
Outcome status(const Options&);
Outcome reload(const Options&);
Outcome revoke(const Options&);  // revoke.cpp
Outcome audit_tail(const Options&);
Outcome audit_verify(const Options&);  // offline.cpp

// Talking to the daemon, shared by the verbs (daemon_calls.cpp).
Attempt<Client> agent_client(const Options&);
Attempt<Client> admin_client(const Options&);
// The JSON object of a 2xx answer; any other answer is a Failure with the daemon's own words.
Attempt<boost::json::object> call(Client& client, const HttpCall& what);

// The same where a 2xx answer is no JSON: its body as it is.
Attempt<std::string> call_for_text(Client& client, const HttpCall& what);

// Adds the usual reason why a listed agent's own helper is refused: badgectl is another process.
Failure with_process_hint(Failure failure);

// RFC 6749 4.4 at POST /v1/token.
struct TokenRequest {
  std::string audience;
  std::vector<std::string> scope;
  std::string resource;
  bool fresh = false;
};
HttpCall token_call(const TokenRequest& request);
// RFC 8693 at the same place. `proof` may be empty.
HttpCall exchange_call(const TokenRequest& request, const std::string& subject_token,
                       const std::string& proof);
// POST /v1/proof, RFC 9449.
struct ProofRequest {
  std::string method;
  std::string url;
  std::string access_token;
  std::string nonce;
};
HttpCall proof_call(const ProofRequest& request);

// application/x-www-form-urlencoded and RFC 3986 percent-encoding of one value.
std::string percent_encode(std::string_view text);

// A file or "-" for standard input, at most `limit` bytes. `what` names it in messages.
Attempt<std::string> read_input(const std::string& path, std::size_t limit,
                                const std::string& what);

// "1700000000", "2026-11-24T18:00:00Z", or "10m" before `now`: seconds since the epoch.
Attempt<long long> parse_since(const std::string& text, long long now);

}  // namespace badged::ctl
