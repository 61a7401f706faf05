// What all verbs that talk to badged share: connecting, asking, and reading its refusals.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "daemon/ctl/verbs.h"

namespace badged::ctl {
namespace {

Attempt<Client> connected(const std::string& path, const char* who) {
  Result<Client> client = Client::connect(path, who);
  if (client.has_error()) return to_failure(client.error());
  return std::move(client.value());
}

// 5 only where badged itself says "later"; a TPM that is gone or a full disk is 4.
Exit exit_for(const HttpAnswer& answer) {
  if (answer.status == 429 || (answer.status == 503 && answer.retry_after)) return Exit::busy;
  return answer.status >= 500 ? Exit::unreachable : Exit::no;
}

Failure refusal(const HttpAnswer& answer, const boost::json::object& body) {
  Failure failure;
  failure.exit = exit_for(answer);
  failure.error = text_at(body, "error");
  failure.description = text_at(body, "error_description");
  failure.hint = text_at(body, "hint");
  failure.correlation_id = text_at(body, "correlation_id");
  if (failure.correlation_id.empty()) failure.correlation_id = printable(answer.correlation_id);
  if (failure.error.empty()) failure.error = "http_" + std::to_string(answer.status);
  if (failure.description.empty())
    failure.description = "badged answered with HTTP status " + std::to_string(answer.status);
  failure.details = body;
  return failure;
}

void append_form(std::string& form, std::string_view name, std::string_view value) {
  if (!form.empty()) form += '&';
  form += std::string(name) + '=' + percent_encode(value);
}

}  // namespace

Attempt<Client> agent_client(const Options& options) {
  return connected(options.socket, "badged's agent socket");
}

Attempt<Client> admin_client(const Options& options) {
  return connected(options.admin_socket, "badged's admin socket");
}

Attempt<boost::json::object> call(Client& client, const HttpCall& what) {
  Result<HttpAnswer> answer = client.call(what);
  if (answer.has_error()) return to_failure(answer.error());
  boost::system::error_code ec;
  boost::json::value parsed = boost::json::parse(answer->body, ec);
  bool good = answer->status >= 200 && answer->status < 300;
  if (!ec && parsed.is_object()) {
    if (!good) return refusal(answer.value(), parsed.get_object());
    return std::move(parsed.get_object());
  }
  if (!good) return refusal(answer.value(), {});
  return Failure{Exit::unreachable, "bad_answer", "read badged's answer: it is no JSON object",
                 "is that socket badged's? badgectl doctor looks",
                 printable(answer->correlation_id)};
}

Attempt<std::string> call_for_text(Client& client, const HttpCall& what) {
  Result<HttpAnswer> answer = client.call(what);
  if (answer.has_error()) return to_failure(answer.error());
  if (answer->status >= 200 && answer->status < 300) return std::move(answer->body);
  boost::system::error_code ec;
  boost::json::value parsed = boost::json::parse(answer->body, ec);
  if (ec || !parsed.is_object()) return refusal(answer.value(), {});
  return refusal(answer.value(), parsed.get_object());
}

namespace {

HttpCall token_form(const TokenRequest& request, std::string_view grant_type) {
  HttpCall call{"POST", "/v1/token", "application/x-www-form-urlencoded", {}, request.fresh};
  append_form(call.body, "grant_type", grant_type);
  if (!request.audience.empty()) append_form(call.body, "audience", request.audience);
  std::string scope;
  for (const std::string& one : request.scope) scope += (scope.empty() ? "" : " ") + one;
  if (!scope.empty()) append_form(call.body, "scope", scope);
  if (!request.resource.empty()) append_form(call.body, "resource", request.resource);
  return call;
}

}  // namespace

HttpCall token_call(const TokenRequest& request) {
  return token_form(request, "client_credentials");
}

HttpCall exchange_call(const TokenRequest& request, const std::string& subject_token,
                       const std::string& proof) {
  auto call = token_form(request, "urn:ietf:params:oauth:grant-type:token-exchange");
  append_form(call.body, "subject_token", subject_token);
  append_form(call.body, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
  if (!proof.empty()) append_form(call.body, "subject_token_proof", proof);
  return call;
}

HttpCall proof_call(const ProofRequest& request) {
  boost::json::object body{
      {"method", request.method}, {"url", request.url}, {"access_token", request.access_token}};
  if (!request.nonce.empty()) body["nonce"] = request.nonce;
  return {"POST", "/v1/proof", "application/json", boost::json::serialize(body), false};
}

std::string percent_encode(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += static_cast<char>(c);
      continue;
    }
    out += '%';
    out += digits[c >> 4];
    out += digits[c & 15];
  }
  return out;
}

Attempt<std::string> read_input(const std::string& path, std::size_t limit,
                                const std::string& what) {
  auto failed = [&](Exit exit, const std::string& why, const std::string& hint) {
    return Failure{
        exit,
        exit == Exit::malformed ? "malformed" : "unreadable",
        "read " + what + (path == "-" ? " from standard input" : " " + path) + ": " + why,
        hint,
        {}};
  };
  int fd = path == "-" ? ::dup(0) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return failed(Exit::malformed, std::strerror(errno), "does the file exist?");
  std::string text;
  char chunk[4096];
  ssize_t n = 0;
  while ((n = ::read(fd, chunk, sizeof chunk)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 || text.size() + static_cast<std::size_t>(n) > limit) break;
    text.append(chunk, static_cast<std::size_t>(n));
  }
  int error = errno;
  ::close(fd);
  if (n < 0) return failed(Exit::malformed, std::strerror(error), "");
  if (n > 0)
    return failed(Exit::malformed, "it is longer than " + std::to_string(limit) + " bytes",
                  "is this the right file?");
  return text;
}

Attempt<long long> parse_since(const std::string& text, long long now) {
  Failure bad{Exit::malformed,
              "malformed",
              "read --since " + text + ": it is no time",
              "write 90s, 10m, 1h or 2d before now, a UNIX time, or 2026-01-31T12:00:00Z",
              {}};
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end && *end == '\0') return static_cast<long long>(::timegm(&parts));
  std::size_t digits = text.find_first_not_of("0123456789");
  std::string number = text.substr(0, digits);
  if (number.empty() || number.size() > 12) return bad;
  long long value = std::stoll(number);
  if (digits == std::string::npos) return value;
  std::string unit = text.substr(digits);
  if (unit.size() != 1) return bad;
  long long seconds = unit == "s"   ? 1
                      : unit == "m" ? 60
                      : unit == "h" ? 3600
                      : unit == "d" ? 86400
                                    : 0;
  if (seconds == 0) return bad;
  return std::max(0LL, now - value * seconds);
}

}  // namespace badged::ctl
