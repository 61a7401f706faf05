#include "daemon/front/connection.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "attest/json/strict.h"

namespace badged::front {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using Wait = asio::posix::stream_descriptor::wait_type;

// Worth giving back when a connection falls idle; below it the allocation is not.
constexpr std::size_t kKeepCapacity = 512;

}  // namespace

Connection::Connection(Server& server, peers::Stream stream, Socket kind, bool listed)
    : server_(server), stream_(std::move(stream)), kind_(kind), listed_(listed) {}

awaitable<void> Connection::run() {
  while (!closing_) {
    auto parsed = co_await read_request();
    if (!parsed) co_return;
    if (!co_await answer(parsed->request)) co_return;
    busy_ = false;
    served_ = true;
    // A pipelined request waits for its turn behind what other connections sent.
    if (!pending_.empty()) co_await asio::post(server_.io_, asio::use_awaitable);
    if (pending_.empty() && pending_.capacity() > kKeepCapacity) std::string().swap(pending_);
  }
}

void Connection::close() {
  closing_ = true;
  stream_.close();
}

void Connection::finish() {
  if (!busy_) return close();
  closing_ = true;
}

bool Connection::overdue(Clock::time_point now) const {
  return now >= deadline_;
}

// The first byte may have come behind the request before.
void Connection::begin_request() {
  if (!busy_) deadline_ = Clock::now() + limits::kRequestDeadline;
  busy_ = true;
}

awaitable<std::optional<Parsed>> Connection::read_request() {
  deadline_ = listed_ ? Clock::time_point::max() : Clock::now() + limits::kStrangerIdle;
  std::size_t scanned = 0;
  std::size_t need = 1;
  std::string_view view = pending_;
  for (;;) {
    if (view.size() < need) {
      if (!co_await more(view)) co_return std::nullopt;
      begin_request();
      continue;
    }
    begin_request();
    auto outcome = parse_request(view, server_.calls_, kind_, scanned);
    if (const auto* bad = std::get_if<BadRequest>(&outcome)) {
      co_await refuse(*bad);
      co_return std::nullopt;
    }
    if (auto* parsed = std::get_if<Parsed>(&outcome)) {
      if (view.data() == pending_.data())
        pending_.erase(0, parsed->used);
      else
        pending_.assign(view.substr(parsed->used));
      co_return std::move(*parsed);
    }
    need = std::get<NeedMore>(outcome).at_least;
    if (view.data() != pending_.data()) {
      pending_.assign(view);
      view = pending_;
    }
  }
}

awaitable<bool> Connection::more(std::string_view& view) {
  // Between two requests there is usually nothing yet: waiting first saves a read in vain.
  if (served_ && pending_.empty() && !co_await wait_readable()) co_return false;
  for (;;) {
    auto moved = stream_.read_some(server_.scratch_);
    if (!moved) {
      co_await refuse(moved.error());
      co_return false;
    }
    if (moved->state == peers::StreamState::closed) co_return false;
    if (moved->state == peers::StreamState::ready) {
      const auto fresh = as_text(ByteView(server_.scratch_).first(moved->bytes));
      if (!pending_.empty()) pending_.append(fresh);
      view = pending_.empty() ? fresh : std::string_view(pending_);
      co_return true;
    }
    if (!co_await wait_readable()) co_return false;
  }
}

awaitable<bool> Connection::wait_readable() {
  if (!stream_.descriptor().is_open()) co_return false;
  boost::system::error_code error;
  co_await stream_.descriptor().async_wait(Wait::wait_read,
                                           asio::redirect_error(asio::use_awaitable, error));
  co_return !error && stream_.descriptor().is_open();
}

awaitable<bool> Connection::answer(const Request& request) {
  if (!listed_) co_await server_.strangers_turn(uid());
  auto process = stream_.shared_process();
  const auto checked = Clock::now();
  const auto alive = process->check();
  if (alive != peers::Liveness::same) {
    co_await refuse(peers::refuse(alive));
    co_return false;
  }
  // The deadline of a request does not bound its handler: the TPM's queue has its own.
  deadline_ = Clock::time_point::max();
  // GCC 12 destroys a braced temporary in a co_await expression twice: it needs a name.
  Exchange exchange{request, process, kind_, stream_.descriptor().native_handle(),
                    new_correlation_id()};
  auto response = co_await server_.hooks_.handle(std::move(exchange));
  // Whoever exits or execs while it waits gets nothing: its pid may be another's by now.
  if (Clock::now() - checked >= limits::kCheckFreshness) {
    const auto still = process->check();
    if (still != peers::Liveness::same) {
      co_await refuse(peers::refuse(still));
      co_return false;
    }
  }
  const bool keep_alive = request.keep_alive && !response.close && !closing_;
  co_return co_await write(response, keep_alive);
}

awaitable<bool> Connection::write(const Response& response, bool keep_alive) {
  if (!stream_.descriptor().is_open()) co_return false;
  std::string bytes;
  bytes.reserve(response.body.size() + 320);
  write_response(response, keep_alive, bytes);
  deadline_ = Clock::now() + limits::kAnswerDeadline;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const auto moved = stream_.write_some(as_bytes(rest));
    if (!moved || moved->state == peers::StreamState::closed) co_return false;
    rest.remove_prefix(moved->bytes);
    if (moved->state == peers::StreamState::ready) continue;
    boost::system::error_code error;
    co_await stream_.descriptor().async_wait(Wait::wait_write,
                                             asio::redirect_error(asio::use_awaitable, error));
    if (error || !stream_.descriptor().is_open()) co_return false;
  }
  co_return keep_alive;
}

awaitable<void> Connection::refuse(peers::Refusal refusal) {
  co_await write(co_await server_.hooks_.refused(refusal, uid(), new_correlation_id()), false);
  leave_open();
}

void Connection::leave_open() {
  if (!stream_.descriptor().is_open()) return;
  // Not a duplicate: epoll would go on reporting the closed descriptor's file, to whoever has
  // Asio's place for it by then.
  server_.linger(peers::OwnedFd(stream_.descriptor().release()));
}

awaitable<void> Connection::refuse(BadRequest bad) {
  Response response;
  response.status = bad.status;
  response.correlation_id = new_correlation_id();
  response.body = std::string(R"({"error":")") + bad.error + R"(","error_description":)";
  attest::append_json_string(response.body, bad.description);
  response.body += R"(,"correlation_id":")" + response.correlation_id + "\"}";
  response.no_store = true;
  co_await write(response, false);
  leave_open();
}

}  // namespace badged::front
