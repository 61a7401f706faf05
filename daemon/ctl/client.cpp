#include "daemon/ctl/client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstring>

namespace badged::ctl {
namespace {

namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;
using boost::system::error_code;

error_code last_error() {
  return {errno, boost::system::generic_category()};
}

// Beast's SyncReadStream and SyncWriteStream over a descriptor. Asio's own blocking calls know no
// deadline.
class DeadlineStream {
 public:
  explicit DeadlineStream(int fd) : fd_(fd) {}
  ~DeadlineStream() { ::close(fd_); }
  DeadlineStream(const DeadlineStream&) = delete;
  DeadlineStream& operator=(const DeadlineStream&) = delete;

  int fd() const { return fd_; }
  void expires_after(std::chrono::milliseconds wait) { deadline_ = Clock::now() + wait; }

  bool wait(short events, error_code& ec) {
    for (;;) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
      pollfd entry{fd_, events, 0};
      int rc = left <= 0 ? 0 : ::poll(&entry, 1, static_cast<int>(left));
      if (rc > 0) return true;
      if (rc < 0 && errno == EINTR) continue;
      ec = rc == 0 ? error_code{ETIMEDOUT, boost::system::generic_category()} : last_error();
      return false;
    }
  }

  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, error_code& ec) {
    boost::asio::mutable_buffer into = first<boost::asio::mutable_buffer>(buffers);
    if (into.size() == 0) return 0;
    if (!wait(POLLIN, ec)) return 0;
    ssize_t n = ::recv(fd_, into.data(), into.size(), 0);
    if (n < 0) ec = last_error();
    if (n == 0) ec = boost::asio::error::eof;
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, error_code& ec) {
    boost::asio::const_buffer from = first<boost::asio::const_buffer>(buffers);
    if (from.size() == 0) return 0;
    if (!wait(POLLOUT, ec)) return 0;
    ssize_t n = ::send(fd_, from.data(), from.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) ec = last_error();
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    error_code ec;
    std::size_t n = read_some(buffers, ec);
    if (ec) throw boost::system::system_error(ec);
    return n;
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers) {
    error_code ec;
    std::size_t n = write_some(buffers, ec);
    if (ec) throw boost::system::system_error(ec);
    return n;
  }

 private:
  template <class Buffer, class Buffers>
  static Buffer first(const Buffers& buffers) {
    for (auto it = boost::asio::buffer_sequence_begin(buffers);
         it != boost::asio::buffer_sequence_end(buffers); ++it) {
      Buffer buffer(*it);
      if (buffer.size() > 0) return buffer;
    }
    return Buffer();
  }

  int fd_;
  Clock::time_point deadline_;
};

std::string connect_hint(int error) {
  switch (error) {
    case ENOENT:
      return "is badged running (systemctl status badged.socket badged)? Another place is named "
             "with --socket, --admin-socket, BADGED_SOCKET or BADGED_ADMIN_SOCKET";
    case ECONNREFUSED:
      return "the socket is there but nothing listens: start badged (systemctl start "
             "badged.socket)";
    case EACCES:
      return "you may not use this socket: the admin socket is for root and the group badged-admin";
    case EAGAIN:
    case ETIMEDOUT:
      return "badged accepts no connection now: try again, then look at systemctl status badged";
    default:
      return "badgectl doctor looks at the sockets";
  }
}

}  // namespace

struct Client::Connection {
  explicit Connection(int fd) : stream(fd) {}
  DeadlineStream stream;
  boost::beast::flat_buffer buffer;
};

Client::Client(std::unique_ptr<Connection> connection, std::string who,
               std::chrono::milliseconds deadline)
    : connection_(std::move(connection)), who_(std::move(who)), deadline_(deadline) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(const std::string& path, std::string who,
                               std::chrono::milliseconds deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() > limits::socket_path_bytes)
    return fail(Errc::malformed, "connect to " + who + ": the path of a socket has 1 to 107 bytes");
  std::memcpy(address.sun_path, path.data(), path.size());
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(Errc::unavailable, std::string("make a socket: ") + std::strerror(errno));
  auto connection = std::make_unique<Connection>(fd);
  // A blocking connect waits while the listener's backlog is full: bound it like everything else.
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(deadline);
  timeval wait{seconds.count(), (deadline - seconds).count() * 1000};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    int error = errno;
    return fail(Errc::unavailable,
                "connect to " + who + " at " + path + ": " + std::strerror(error),
                connect_hint(error));
  }
  return Client(std::move(connection), std::move(who), deadline);
}

Result<HttpAnswer> Client::call(const HttpCall& call) {
  http::request<http::string_body> request{http::string_to_verb(call.method), call.target, 11};
  request.set(http::field::host, "localhost");
  request.set(http::field::user_agent, "badgectl");
  request.set(http::field::accept, "application/json");
  if (call.no_cache) request.set(http::field::cache_control, "no-cache");
  if (!call.content_type.empty()) request.set(http::field::content_type, call.content_type);
  request.body() = call.body;
  request.prepare_payload();

  DeadlineStream& stream = connection_->stream;
  stream.expires_after(deadline_);
  error_code write_error;
  http::write(stream, request, write_error);  // an early answer may still wait behind an EPIPE

  http::response_parser<http::string_body> parser;
  parser.header_limit(limits::answer_header_bytes);
  parser.body_limit(limits::answer_body_bytes);
  if (request.method() == http::verb::head) parser.skip(true);
  error_code ec;
  http::read(stream, connection_->buffer, parser, ec);
  if (ec == error_code(ETIMEDOUT, boost::system::generic_category()))
    return fail(Errc::unavailable, "wait for an answer of " + who_ + ": the deadline passed",
                "badgectl status says what badged is busy with; journalctl -u badged the rest");
  if (ec)
    return fail(Errc::unavailable, "read the answer of " + who_ + ": " + ec.message(),
                "journalctl -u badged says why it hung up or answered in another protocol");

  auto& response = parser.get();
  HttpAnswer answer;
  answer.status = static_cast<int>(response.result_int());
  answer.content_type = std::string(response[http::field::content_type]);
  answer.correlation_id = std::string(response["X-Correlation-Id"]);
  answer.retry_after = response.count(http::field::retry_after) > 0;
  answer.body = std::move(response.body());
  return answer;
}

}  // namespace badged::ctl
