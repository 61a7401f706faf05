// Load on a Unix socket, closed loop: each connection asks again as soon as it was answered. Prints
// one JSON object: rate and latency percentiles. One thread, so that the server has the other core.
//
//   load --socket S --call token|fresh|exchange|proof|evidence|whoami --connections N --seconds T
//   [--audience A] load --socket S --idle N      opens N connections, says "open", waits for end of
//   input
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string socket;
  std::string call = "token";
  std::string audience = "https://ledger.example.org/";
  std::size_t connections = 1;
  std::size_t idle = 0;
  double seconds = 3;
};

int connect_to(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw std::runtime_error("the path is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
  return fd;
}

std::string post(const std::string& target, const std::string& type, const std::string& body,
                 const std::string& extra) {
  return "POST " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + type + "\r\n" +
         extra + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const std::string kForm = "application/x-www-form-urlencoded";

// The body of a whole answer, or empty while it is incomplete. `size` is what the answer takes.
struct Answer {
  bool complete = false;
  bool ok = false;
  std::string_view body;
};

Answer parse(std::string_view bytes) {
  const auto end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return {};
  constexpr std::string_view field = "Content-Length: ";
  const auto at = bytes.find(field);
  if (at == std::string_view::npos || at > end) throw std::runtime_error("no Content-Length");
  const auto length = std::stoul(std::string(bytes.substr(at + field.size(), 10)));
  if (bytes.size() < end + 4 + length) return {};
  return {true, bytes.starts_with("HTTP/1.1 200"), bytes.substr(end + 4, length)};
}

std::string ask_once(const Options& options, const std::string& request) {
  const int fd = connect_to(options.socket);
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0)
    throw std::runtime_error("send failed");
  std::string bytes;
  char buffer[65536];
  for (;;) {
    const auto answer = parse(bytes);
    if (answer.complete && !answer.ok) throw std::runtime_error("refused: " + bytes);
    if (answer.complete) return std::string(answer.body);
    const auto got = ::recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) throw std::runtime_error("the server closed the connection");
    bytes.append(buffer, static_cast<std::size_t>(got));
  }
}

std::string request_for(const Options& options) {
  const std::string form = "grant_type=client_credentials&audience=" + options.audience;
  const auto token = post("/v1/token", kForm, form, "");
  // The process's session, and its key, are made before the clock starts.
  if (options.call == "token" || options.call == "fresh") ask_once(options, token);
  if (options.call == "token") return token;
  if (options.call == "fresh") return post("/v1/token", kForm, form, "Cache-Control: no-cache\r\n");
  if (options.call == "whoami") return "GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
  if (options.call == "evidence")
    return post("/v1/evidence", "application/json",
                R"({"challenge":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","audience":"bench"})",
                "");
  if (options.call != "proof" && options.call != "exchange")
    throw std::runtime_error("unknown call " + options.call);
  const auto answer = boost::json::parse(ask_once(options, token));
  if (options.call == "exchange") {  // its own token, narrowed; base64url needs no escapes
    const std::string own(answer.at("access_token").as_string());
    return post("/v1/token", kForm,
                "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=" + own +
                    "&subject_token_type=urn:ietf:params:oauth:token-type:access_token"
                    "&expires_in=60",
                "");
  }
  const boost::json::object body{{"method", "GET"},
                                 {"url", options.audience + "api/invoices"},
                                 {"access_token", answer.at("access_token")}};
  return post("/v1/proof", "application/json", boost::json::serialize(body), "");
}

struct Connection {
  int fd = -1;
  std::string received;
  Clock::time_point asked;
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options), request_(request_for(options)) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    connections_.resize(options.connections);
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      connections_[i].fd = connect_to(options.socket);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_[i].fd, &event);
    }
  }

  boost::json::object run() {
    const auto begin = Clock::now();
    const auto end = begin + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(options_.seconds));
    for (auto& connection : connections_) ask(connection);
    epoll_event events[256];
    auto now = begin;
    while ((now = Clock::now()) < end) {
      const int ready = ::epoll_wait(epoll_, events, 256, 100);
      for (int i = 0; i < ready; ++i) receive(connections_[events[i].data.u64]);
    }
    return report(std::chrono::duration<double>(now - begin).count());
  }

 private:
  void ask(Connection& connection) {
    connection.received.clear();
    connection.asked = Clock::now();
    if (::send(connection.fd, request_.data(), request_.size(), MSG_NOSIGNAL) < 0)
      throw std::runtime_error("send failed");
  }

  void receive(Connection& connection) {
    char buffer[16384];
    const auto got = ::recv(connection.fd, buffer, sizeof buffer, 0);
    if (got <= 0) throw std::runtime_error("the server closed a connection");
    connection.received.append(buffer, static_cast<std::size_t>(got));
    const auto answer = parse(connection.received);
    if (!answer.complete) return;
    const auto took = std::chrono::duration<double, std::micro>(Clock::now() - connection.asked);
    latencies_.push_back(static_cast<float>(took.count()));
    if (!answer.ok && ++errors_ == 1) first_error_ = connection.received;
    ask(connection);
  }

  boost::json::object report(double seconds) {
    std::sort(latencies_.begin(), latencies_.end());
    const auto percentile = [this](double part) {
      if (latencies_.empty()) return 0.0;
      return static_cast<double>(
          latencies_[static_cast<std::size_t>(part * static_cast<double>(latencies_.size() - 1))]);
    };
    boost::json::object out{{"requests", latencies_.size()},
                            {"seconds", seconds},
                            {"rate", static_cast<double>(latencies_.size()) / seconds},
                            {"p50_us", percentile(0.5)},
                            {"p99_us", percentile(0.99)},
                            {"p999_us", percentile(0.999)},
                            {"errors", errors_}};
    if (errors_ > 0) out["first_error"] = first_error_;
    return out;
  }

  const Options options_;
  const std::string request_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::vector<float> latencies_;
  std::size_t errors_ = 0;
  std::string first_error_;
};

void hold_idle(const Options& options) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  std::vector<int> held;
  for (std::size_t i = 0; i < options.idle; ++i) held.push_back(connect_to(options.socket));
  std::cout << "open" << std::endl;
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"load on a Unix socket"};
  app.add_option("--socket", options.socket)->required();
  app.add_option("--call", options.call);
  app.add_option("--audience", options.audience);
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 10000));
  app.add_option("--idle", options.idle)->check(CLI::Range(1, 20000));
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 600.0));
  CLI11_PARSE(app, argc, argv);
  try {
    if (options.idle > 0) {
      hold_idle(options);
      return 0;
    }
    std::cout << Load(options).run() << std::endl;
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "load: " << e.what() << '\n';
    return 4;
  }
}
