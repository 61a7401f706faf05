// What of curl(1)'s own options `badgectl curl` hands on, and which HTTP method they make.
//
// Only options in a table pass: each one's arity must be known to find the method that the proof is
// made for, and a further URL, a redirect, a config file or a trace would carry the token
// elsewhere.
#pragma once

#include <string>
#include <vector>

#include "daemon/ctl/outcome.h"

namespace badged::ctl {

struct CurlPlan {
  std::string method = "GET";
  std::vector<std::string> arguments;  // for curl, without the URL, token and proof
};

// Exit::usage for an option that is not handed on, with the reason.
Attempt<CurlPlan> plan_curl(const std::vector<std::string>& arguments);

// An http or https URL that curl and the proof understand alike: no user, no fragment, nothing that
// is not printable ASCII. Exit::malformed otherwise.
Attempt<std::string> resource_url(const std::string& text);

// curl's config file for standard input: the URL and the two headers, quoted.
std::string curl_config(const std::string& url, const std::string& token_type,
                        const std::string& token, const std::string& proof);

// The final answer's status line and headers, from what --dump-header wrote so far.
struct ResourceHead {
  int status = 0;  // 0: not complete yet
  std::string location;
  std::string content_type;
  std::string dpop_nonce;    // only what RFC 9449 8 allows in a nonce, at most 512 bytes
  bool wants_nonce = false;  // 401 with error="use_dpop_nonce"
};
ResourceHead read_head(std::string_view dumped);

}  // namespace badged::ctl
