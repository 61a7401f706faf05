// A synchronous HTTP/1.1 client for badged's Unix sockets: one connection, bounded answers, a
// deadline on every call. One thread. The only code of badgectl that knows Beast is client.cpp.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/ctl/limits.h"
#include "keystore/result.h"

namespace badged::ctl {

struct HttpCall {
  std::string method = "GET";
  std::string target;        // already percent-encoded
  std::string content_type;  // empty: no body
  std::string body;
  bool no_cache = false;  // Cache-Control: no-cache
};

struct HttpAnswer {
  int status = 0;
  std::string content_type;
  std::string correlation_id;  // X-Correlation-Id; may be empty
  bool retry_after = false;    // there was a Retry-After
  std::string body;
};

class Client {
 public:
  // Errc::unavailable when nothing answers there, with a hint by cause; `who` names the socket in
  // messages ("badged's agent socket").
  static Result<Client> connect(const std::string& path, std::string who,
                                std::chrono::milliseconds deadline = limits::call_deadline);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // Any HTTP status is a success here. Not to be used again after a failure.
  Result<HttpAnswer> call(const HttpCall& call);

 private:
  struct Connection;
  Client(std::unique_ptr<Connection> connection, std::string who,
         std::chrono::milliseconds deadline);
  std::unique_ptr<Connection> connection_;
  std::string who_;
  std::chrono::milliseconds deadline_;
};

}  // namespace badged::ctl
