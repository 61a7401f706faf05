// HTTP/1.1, bytes in and `Request` out: a pure function, without keys, files, clock or sockets.
//
// RFC 9112 by Boost.Beast's parser, and stricter than it where a request could be read in two ways:
// any Transfer-Encoding, a second Content-Length, Host or Content-Type, obs-fold, an absolute
// target and HTTP/1.0 are refused. A refusal always ends the connection, so nothing behind it is
// read.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "daemon/front/request.h"

namespace badged::front {

struct NeedMore {
  std::size_t at_least = 0;  // do not ask again before the buffer holds this many bytes
};

struct Parsed {
  Request request;
  std::size_t used = 0;  // bytes of the buffer; what follows is the next request
};

using Outcome = std::variant<NeedMore, Parsed, BadRequest>;

// `bytes`: all that was received of this request so far, at most kMaxHeader + kMaxBody. `scanned`
// remembers how far an earlier call looked for the end of the header (0 at first), so that a sender
// of single bytes costs linear work.
Outcome parse_request(std::string_view bytes, std::span<const CallShape> calls, Socket socket,
                      std::size_t& scanned);

// The core's answer. `body` is JSON unless `content_type` says otherwise.
struct Response {
  int status = 200;
  std::string body;
  const char* content_type = "application/json";
  bool no_store = false;             // RFC 6749 5.1: Cache-Control: no-store
  int max_age = 0;                   // seconds; > 0: Cache-Control: public, max-age
  int retry_after = 0;               // seconds; > 0: Retry-After
  std::string correlation_id;        // also X-Correlation-Id
  bool close = false;                // the connection ends after this answer
  std::shared_ptr<const void> held;  // let go when the answer was taken, or never will be
};

// The bytes of an answer, appended to `out`.
void write_response(const Response& response, bool keep_alive, std::string& out);

// Percent-decoding of one form or query component (WHATWG: '+' is a space). False: malformed.
bool decode_component(std::string_view text, std::string& out);

}  // namespace badged::front
