// badgectl curl: token and proof go to curl(1) on its standard input, as a config file, and nowhere
// else; argv and environment of every process can be read by others of the same uid.
//
// Exit: 0 the resource answered below 300 (304 too); 1 badged or the resource refused (4xx), or the
// resource redirects; 4 curl failed, or the resource answered 5xx; 5 badged or the resource is busy
// (429, 503).
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include <cerrno>
#include <cstring>

#include "daemon/ctl/curl_arguments.h"
#include "daemon/ctl/process.h"
#include "daemon/ctl/verbs.h"

namespace badged::ctl {
namespace {

struct Exchange {
  int curl_status = 0;
  ResourceHead head;
  std::string body;  // what was kept rather than forwarded
};

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// Whether an answer's body goes to standard output or is kept is known once its head is complete.
class Receiver {
 public:
  Receiver(Fd head, Fd body, bool keep, bool may_retry)
      : head_fd_(std::move(head)), body_fd_(std::move(body)), keep_(keep), may_retry_(may_retry) {}

  Result<Exchange> receive() {
    while (head_fd_ || body_fd_) {
      pollfd entries[2] = {{head_fd_.get(), POLLIN, 0}, {body_fd_.get(), POLLIN, 0}};
      if (::poll(entries, 2, -1) < 0 && errno != EINTR)
        return fail(Errc::internal, std::string("wait for curl: ") + std::strerror(errno));
      // The head first: it decides about the body.
      if (entries[0].revents != 0) take(head_fd_, dumped_, limits::resource_header_bytes);
      if (!exchange_.head.status) exchange_.head = read_head(dumped_);
      if (entries[1].revents != 0) take(body_fd_, exchange_.body, limits::resource_body_bytes);
      if (Result<void> passed = pass_on(); passed.has_error()) return passed.error();
    }
    return std::move(exchange_);
  }

 private:
  void take(Fd& fd, std::string& into, std::size_t limit) {
    char chunk[16384];
    ssize_t n = ::read(fd.get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) return fd.close();
    into.append(chunk, static_cast<std::size_t>(n));
    if (into.size() > limit) too_long_ = true;
  }

  bool held_back() const {
    const ResourceHead& head = exchange_.head;
    if (keep_ || !head.location.empty()) return true;
    return head.status == 0 || (may_retry_ && head.wants_nonce);
  }

  Result<void> pass_on() {
    if (too_long_)
      return fail(Errc::exhausted, "read the resource's answer: it is longer than 1 MiB",
                  "without --json a body of any length is passed on");
    if (held_back()) return ok();
    if (!write_all(1, exchange_.body))
      return fail(Errc::unavailable, "write the answer to standard output: it is closed or full");
    exchange_.body.clear();
    return ok();
  }

  Fd head_fd_, body_fd_;
  bool keep_, may_retry_;
  bool too_long_ = false;
  std::string dumped_;
  Exchange exchange_;
};

std::vector<std::string> curl_argv(const CurlPlan& plan, const std::string& url) {
  // -q: no ~/.curlrc, which could follow redirects or trace. --path-as-is: the proof is for the
  // path as written. Plain http never takes the token through a proxy.
  std::vector<std::string> argv{"curl",
                                "-q",
                                "--config",
                                "-",
                                "--dump-header",
                                "/dev/fd/3",
                                "--globoff",
                                "--path-as-is",
                                "--proto",
                                "=http,https",
                                "--suppress-connect-headers"};
  if (url.size() > 5 && url[4] == ':') argv.insert(argv.end(), {"--noproxy", "*"});
  argv.insert(argv.end(), plan.arguments.begin(), plan.arguments.end());
  return argv;
}

Attempt<Exchange> run_curl(const CurlPlan& plan, const std::string& url, const std::string& config,
                           bool keep, bool may_retry) {
  Result<Pipe> in = make_pipe(), body = make_pipe(), head = make_pipe();
  if (in.has_error() || body.has_error() || head.has_error())
    return Failure{
        Exit::unreachable, "unreachable", "make pipes for curl", "too many open files?", {}};
  Result<pid_t> pid = start({curl_argv(plan, url),
                             {{in->read.get(), 0}, {body->write.get(), 1}, {head->write.get(), 3}},
                             {}});
  if (pid.has_error()) {
    Failure failure = to_failure(pid.error());
    failure.exit = Exit::unreachable;
    return failure;
  }
  in->read.close();
  body->write.close();
  head->write.close();
  write_all(in->write.get(), config);  // a curl that died early says so by its status
  in->write.close();
  Receiver receiver(std::move(head->read), std::move(body->read), keep, may_retry);
  Result<Exchange> exchange = receiver.receive();
  if (exchange.has_error()) ::kill(pid.value(), SIGTERM);
  int status = 0;
  while (::waitpid(pid.value(), &status, 0) < 0 && errno == EINTR) {
  }
  if (exchange.has_error()) return to_failure(exchange.error());
  exchange->curl_status = exit_status(status);
  return std::move(exchange.value());
}

// `prefix` ends at a segment of `url`, both of one origin as written.
bool covers(const std::string& prefix, const std::string& url) {
  if (prefix.empty() || !url.starts_with(prefix)) return false;
  return url.size() == prefix.size() || prefix.back() == '/' || url[prefix.size()] == '/' ||
         url[prefix.size()] == '?';
}

// The one grant whose `urls` hold this URL; empty: badged decides by its own rule.
std::string audience_for(Client& client, const std::string& url) {
  auto answer = call(client, {"GET", "/v1/whoami", {}, {}, false});
  const auto* agent = answer.has_value() ? object_at(answer.value(), "agent") : nullptr;
  const auto* grants = agent ? array_at(*agent, "grants") : nullptr;
  std::vector<std::string> found;
  for (const auto& each : grants ? *grants : boost::json::array{}) {
    const auto* grant = each.if_object();
    const auto* urls = grant ? array_at(*grant, "urls") : nullptr;
    bool here = grant && covers(text_at(*grant, "audience"), url) && !urls;
    for (const auto& one : urls ? *urls : boost::json::array{})
      here = here || covers(plain(one), url);
    if (here) found.push_back(text_at(*grant, "audience"));
  }
  return found.size() == 1 ? found[0] : std::string();
}

struct Credentials {
  std::string token;
  std::string type;
};

Attempt<Credentials> get_token(Client& client, const Options& options, const std::string& url) {
  TokenRequest request{options.audience, options.scope, {}, options.fresh};
  if (request.audience.empty()) request.audience = audience_for(client, url);
  auto answer = call(client, token_call(request));
  if (answer.has_error()) return with_process_hint(answer.error());
  Credentials credentials{text_at(answer.value(), "access_token"),
                          text_at(answer.value(), "token_type")};
  if (credentials.token.empty())
    return Failure{
        Exit::unreachable, "bad_answer", "read badged's answer: no access_token", {}, {}};
  return credentials;
}

Attempt<std::string> get_proof(Client& client, const Credentials& credentials,
                               const std::string& method, const std::string& url,
                               const std::string& nonce) {
  if (credentials.type != "DPoP") return std::string();  // a Bearer token has no key to prove
  auto answer = call(client, proof_call({method, url, credentials.token, nonce}));
  if (answer.has_error()) return with_process_hint(answer.error());
  return text_at(answer.value(), "dpop");
}

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                               reinterpret_cast<const unsigned char*>(bytes.data()),
                               static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

Exit exit_for(int status) {
  if (status == 429 || status == 503) return Exit::busy;
  if (status >= 500) return Exit::unreachable;
  return status >= 400 ? Exit::no : Exit::yes;
}

Outcome verdict(const Exchange& exchange, bool json) {
  const ResourceHead& head = exchange.head;
  if (head.status == 0)
    return Failure{Exit::unreachable,
                   "resource_unreachable",
                   "call the resource: curl ended with " + std::to_string(exchange.curl_status),
                   "curl's message above says why; man curl, EXIT CODES",
                   {}};
  if (!head.location.empty() && head.status >= 300 && head.status < 400)
    return Failure{Exit::no,
                   "redirect_refused",
                   "the resource answered " + std::to_string(head.status) + " and points to " +
                       head.location.substr(0, 200),
                   "a proof is for one URL: ask for the new one yourself if the grant covers it",
                   {}};
  if (exchange.curl_status != 0 && head.status < 400)
    return Failure{
        Exit::unreachable,
        "resource_unreachable",
        "read the resource's answer: curl ended with " + std::to_string(exchange.curl_status),
        "man curl, EXIT CODES",
        {}};
  Answer answer;
  answer.exit = exit_for(head.status);
  answer.printed = !json;
  answer.json = {{"status", head.status}, {"content_type", printable(head.content_type)}};
  if (is_utf8(exchange.body))
    answer.json["body"] = exchange.body;
  else
    answer.json["body_base64"] = base64(exchange.body);
  return answer;
}

}  // namespace

Outcome curl(const Options& options) {
  auto url = resource_url(options.url);
  if (url.has_error()) return url.error();
  auto plan = plan_curl(options.rest);
  if (plan.has_error()) return plan.error();
  auto client = agent_client(options);
  if (client.has_error()) return client.error();
  auto credentials = get_token(client.value(), options, url.value());
  if (credentials.has_error()) return credentials.error();

  std::string nonce;
  for (bool may_retry : {true, false}) {
    auto proof = get_proof(client.value(), credentials.value(), plan->method, url.value(), nonce);
    if (proof.has_error()) return proof.error();
    std::string config =
        curl_config(url.value(), credentials->type, credentials->token, proof.value());
    auto exchange = run_curl(plan.value(), url.value(), config, options.json, may_retry);
    if (exchange.has_error()) return exchange.error();
    const ResourceHead& head = exchange->head;
    if (!may_retry || !head.wants_nonce || head.dpop_nonce.empty() || credentials->type != "DPoP") {
      if (!options.json && !exchange->body.empty() && head.location.empty())
        write_all(1, exchange->body);
      return verdict(exchange.value(), options.json);
    }
    nonce = head.dpop_nonce;
  }
  return Failure{Exit::no, "use_dpop_nonce", "the resource wants yet another nonce", {}, {}};
}

}  // namespace badged::ctl
