#include "daemon/front/server.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "attest/jose/base64url.h"
#include "daemon/front/connection.h"
#include "daemon/peers/unit.h"
#include "keystore/random.h"

namespace badged::front {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// After accept() failed for want of descriptors or memory: long enough for something to be closed.
constexpr auto kAcceptPause = 100ms;
// A refused client may still be writing its request; closing at once would reset it.
constexpr auto kLinger = 2s;
constexpr std::size_t kMaxLingering = 256;

std::optional<ucred> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return credentials;
}

Response overloaded() {
  Response response;
  response.status = 503;
  response.retry_after = 1;
  response.no_store = true;
  response.correlation_id = new_correlation_id();
  response.body =
      R"({"error":"temporarily_unavailable","error_description":"too many connections or requests","hint":)"
      R"("close idle connections of this user, then try again more slowly","correlation_id":")" +
      response.correlation_id + "\"}";
  return response;
}

// Strangers share what is left when listed callers and admins have their part: of connections, of
// processes that can be known at once, and of descriptors (each stranger may take one for its
// connection and four for its process).
std::size_t stranger_limit() {
  constexpr std::size_t kDescriptorsEach = 5;
  constexpr auto kConnections =
      limits::kMaxConnections - limits::kKeptForAdmins - limits::kKeptForListed;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return limits::kMaxPerStrangerUid;
  const auto descriptors = static_cast<std::size_t>(files.rlim_cur) / 2 / kDescriptorsEach;
  return std::min({kConnections, peers::kMaxProcesses / 2, descriptors});
}

}  // namespace

std::string new_correlation_id() {
  std::array<std::uint8_t, 12> bytes{};
  keystore::fill_random(bytes);
  return attest::base64url(bytes);
}

struct Server::Listener {
  Listener(asio::io_context& io, peers::OwnedFd fd, Socket which)
      : descriptor(io, fd.release()), pause(io), kind(which) {}
  asio::posix::stream_descriptor descriptor;
  asio::steady_timer pause;
  Socket kind;
  std::optional<peers::BootMoment> queue_was_empty;
  Clock::duration pause_for{};  // before more is accepted
};

Server::Server(asio::io_context& io, peers::Census& census, std::vector<CallShape> calls,
               Hooks hooks)
    : io_(io),
      census_(census),
      calls_(std::move(calls)),
      hooks_(std::move(hooks)),
      max_strangers_(stranger_limit()),
      scratch_(limits::kMaxHeader + limits::kMaxBody) {}

Server::~Server() = default;

void Server::listen(Socket kind, peers::OwnedFd listener) {
  auto made = std::make_shared<Listener>(io_, std::move(listener), kind);
  listeners_.push_back(made);
  asio::co_spawn(io_, accept_loop(made), [this](std::exception_ptr failure) {
    if (failure) hooks_.trouble("accepting connections ended by an exception");
  });
}

awaitable<void> Server::accept_loop(std::shared_ptr<Listener> listener) {
  boost::system::error_code error;
  while (!stopping_) {
    co_await listener->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                             asio::redirect_error(asio::use_awaitable, error));
    if (error || stopping_) co_return;
    accept_burst(*listener);
    if (listener->pause_for == Clock::duration::zero()) continue;
    listener->pause.expires_after(listener->pause_for);
    co_await listener->pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

void Server::accept_burst(Listener& listener) {
  listener.pause_for = {};
  const auto begin = peers::boot_now();
  const auto turned_away = counts_.turned_away;
  for (auto before = begin; before - begin < limits::kAcceptSlice; before = peers::boot_now()) {
    peers::OwnedFd fd(::accept4(listener.descriptor.native_handle(), nullptr, nullptr,
                                SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      ++counts_.accepted;
      admit(listener, std::move(fd));
    } else if (errno == EAGAIN) {
      listener.queue_was_empty = before;
      return;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      hooks_.trouble(std::string("accept a connection: ") + std::strerror(errno));
      listener.pause_for = kAcceptPause;
      return;
    }
  }
  if (counts_.turned_away != turned_away) listener.pause_for = limits::kFloodPause;
}

bool Server::has_room(Socket kind, std::uint32_t uid, bool listed) const {
  const auto total = counts_.connections;
  const auto found = per_uid_.find(uid);
  const auto of_uid = found == per_uid_.end() ? 0 : found->second;
  if (kind == Socket::admin) return total < limits::kMaxConnections;
  if (listed)
    return total < limits::kMaxConnections - limits::kKeptForAdmins &&
           of_uid < limits::kMaxPerListedUid;
  return strangers_ < max_strangers_ && total < limits::kMaxConnections - limits::kKeptForAdmins &&
         of_uid < limits::kMaxPerStrangerUid;
}

void Server::admit(Listener& listener, peers::OwnedFd fd) {
  // Before /proc is read for it: the cheapest bound on what one uid can cost us.
  const auto peer = peer_of(fd.get());
  if (!peer) return;
  Arrival arrival{std::move(fd), listener.kind, listener.queue_was_empty, peer->uid};
  if (!has_room(listener.kind, peer->uid, true)) return turn_away(std::move(arrival.fd));
  peers::ProcessFacts facts;
  facts.pid = peer->pid;
  facts.uid = peer->uid;
  if (listener.kind == Socket::admin || hooks_.is_listed(facts))
    return identify(std::move(arrival));
  arrival.paced = true;
  const auto wait = pace_.take(peer->uid, Clock::now());
  if (wait && *wait == Clock::duration::zero()) return identify(std::move(arrival));
  // Ahead of its pace. Its unit may yet be an agent's, which then does not wait for its uid's sake.
  if (hooks_.units_matter())
    if (auto unit = peers::unit_of(peer->pid)) facts.unit = std::move(*unit);
  if (!facts.unit.name.empty() && hooks_.is_listed(facts)) {
    if (wait) pace_.give_back(peer->uid);
    arrival.paced = false;
    return identify(std::move(arrival));
  }
  if (!wait) return turn_away(std::move(arrival.fd));
  if (!has_room(listener.kind, peer->uid, false)) {
    // What it holds already need not wait for a turn that served nobody.
    pace_.give_back(peer->uid);
    return turn_away(std::move(arrival.fd));
  }
  hold(peer->uid);
  ++refusing_;
  asio::co_spawn(io_, identify_later(std::move(arrival), *wait),
                 [this, uid = peer->uid](std::exception_ptr failure) {
                   if (failure) hooks_.trouble("admitting a peer ended by an exception");
                   --refusing_;
                 });
}

awaitable<void> Server::identify_later(Arrival arrival, Clock::duration wait) {
  asio::steady_timer turn(io_, wait);
  boost::system::error_code ignored;
  co_await turn.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  release(arrival.uid);
  if (!stopping_) identify(std::move(arrival));
}

awaitable<void> Server::strangers_turn(std::uint32_t uid) {
  const auto wait = pace_.queue(uid, Clock::now());
  if (wait == Clock::duration::zero()) co_return;
  asio::steady_timer turn(io_, wait);
  boost::system::error_code ignored;
  co_await turn.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

void Server::identify(Arrival arrival) {
  auto process = census_.admit(arrival.fd.get(), arrival.queue_was_empty);
  if (!process) {
    ++refusing_;
    asio::co_spawn(io_, refuse_peer(std::move(arrival.fd), process.error(), arrival.uid),
                   [this](std::exception_ptr failure) {
                     if (failure) hooks_.trouble("refusing a peer ended by an exception");
                     --refusing_;
                   });
    return;
  }
  const bool listed = arrival.socket == Socket::admin || hooks_.is_listed((*process)->facts());
  if (listed && arrival.paced) pace_.give_back(arrival.uid);
  if (!has_room(arrival.socket, arrival.uid, listed)) return turn_away(std::move(arrival.fd));
  auto stream = peers::Stream::open(io_, std::move(arrival.fd), std::move(*process));
  if (!stream) return hooks_.trouble(stream.error().what);
  start(std::make_shared<Connection>(*this, std::move(*stream), arrival.socket, listed));
}

void Server::hold(std::uint32_t uid) {
  ++counts_.connections;
  ++per_uid_[uid];
  ++strangers_;
}

void Server::release(std::uint32_t uid) {
  --counts_.connections;
  --strangers_;
  const auto found = per_uid_.find(uid);
  if (--found->second == 0) per_uid_.erase(found);
}

awaitable<void> Server::refuse_peer(peers::OwnedFd fd, peers::Refusal why, std::uint32_t uid) {
  answer_and_close(std::move(fd),
                   co_await hooks_.refused(std::move(why), uid, new_correlation_id()));
}

// One that floods gets no answer: writing and keeping 503s open would be a cost of its own.
void Server::turn_away(peers::OwnedFd fd) {
  ++counts_.turned_away;
  if (lingering_.size() < kMaxLingering) answer_and_close(std::move(fd), overloaded());
}

void Server::answer_and_close(peers::OwnedFd fd, const Response& response) {
  std::string bytes;
  write_response(response, false, bytes);
  // An answer of some hundred bytes fits the empty buffer of a new connection, or is not sent.
  [[maybe_unused]] const auto sent =
      ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  linger(std::move(fd));
}

void Server::linger(peers::OwnedFd fd) {
  ::shutdown(fd.get(), SHUT_WR);
  if (lingering_.size() >= kMaxLingering) lingering_.pop_front();
  lingering_.push_back({std::move(fd), Clock::now() + kLinger});
}

void Server::start(std::shared_ptr<Connection> connection) {
  ++counts_.connections;
  ++per_uid_[connection->uid()];
  if (!connection->listed()) ++strangers_;
  connections_.push_back(connection);
  connection->place = std::prev(connections_.end());
  auto& running = *connection;
  asio::co_spawn(io_, running.run(),
                 [this, kept = std::move(connection)](std::exception_ptr failure) {
                   if (failure) hooks_.trouble("a connection ended by an exception");
                   forget(*kept);
                 });
}

void Server::forget(Connection& connection) {
  --counts_.connections;
  if (!connection.listed()) --strangers_;
  const auto found = per_uid_.find(connection.uid());
  if (--found->second == 0) per_uid_.erase(found);
  connections_.erase(connection.place);
}

void Server::sweep() {
  const auto now = Clock::now();
  pace_.sweep(now);
  for (const auto& connection : connections_)
    if (connection->overdue(now)) connection->close();
  while (!lingering_.empty() && lingering_.front().until <= now) lingering_.pop_front();
}

awaitable<void> Server::stop() {
  stopping_ = true;
  boost::system::error_code ignored;
  for (const auto& listener : listeners_) {
    listener->pause.cancel();
    listener->descriptor.close(ignored);
  }
  // finish() may end a connection's coroutine before the loop has passed it.
  const auto open = connections_;
  for (const auto& connection : open) connection->finish();
  asio::steady_timer tick(io_);
  const auto deadline = Clock::now() + limits::kStopDeadline;
  while (!connections_.empty() || refusing_ > 0) {
    if (Clock::now() >= deadline)
      for (const auto& connection : connections_) connection->close();
    tick.expires_after(10ms);
    co_await tick.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  lingering_.clear();
}

Counts Server::counts() const {
  return counts_;
}

}  // namespace badged::front
