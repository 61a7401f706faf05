// Accepts connections on both sockets, counts them, gives each to the kernel's word first, and
// serves them until told to stop.
//
// Owns every connection and drains it: stop() closes the listeners, lets what is in flight finish
// until kStopDeadline, then closes. Belongs to the I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/front/http.h"
#include "daemon/front/limits.h"
#include "daemon/front/stranger_pace.h"
#include "daemon/peers/census.h"
#include "daemon/peers/stream.h"

namespace badged::front {

// A request with what the server established about it.
struct Exchange {
  const Request& request;
  std::shared_ptr<peers::Process> process;
  Socket socket;
  int connection_fd;  // for checks of the peer's groups; not for reading or writing
  std::string correlation_id;
};

// What the server asks of the rest of the program. All run on the I/O thread.
struct Hooks {
  std::function<boost::asio::awaitable<Response>(Exchange)> handle;
  // May this process be a listed agent? Cheap: looks at uid and unit alone; decides which limits
  // hold, never what is granted.
  std::function<bool(const peers::ProcessFacts&)> is_listed;
  std::function<bool()> units_matter;  // whether is_listed() ever looks at the unit
  // A connection or message was refused: for the audit, with the answer to send.
  std::function<boost::asio::awaitable<Response>(peers::Refusal, std::uint32_t uid,
                                                 std::string correlation_id)>
      refused;
  // Something went wrong that is nobody's request: for the journal.
  std::function<void(const std::string&)> trouble;
};

struct Counts {
  std::size_t connections = 0;
  std::uint64_t accepted = 0;
  std::uint64_t turned_away = 0;  // over a limit
};

class Connection;

class Server {
 public:
  Server(boost::asio::io_context& io, peers::Census& census, std::vector<CallShape> calls,
         Hooks hooks);
  ~Server();

  // Begins to accept. `listener` is a listening, non-blocking socket.
  void listen(Socket kind, peers::OwnedFd listener);

  // Completes when no connection is left.
  boost::asio::awaitable<void> stop();

  // Closes what overstayed its deadline. Call each second.
  void sweep();

  Counts counts() const;

 private:
  friend class Connection;
  struct Listener;
  struct Lingering {
    peers::OwnedFd fd;
    std::chrono::steady_clock::time_point until;
  };

  boost::asio::awaitable<void> accept_loop(std::shared_ptr<Listener> listener);
  void accept_burst(Listener& listener);
  // A connection that was accepted, and what only that moment could tell of it.
  struct Arrival {
    peers::OwnedFd fd;
    Socket socket;
    std::optional<peers::BootMoment> queue_was_empty;
    std::uint32_t uid = 0;
    bool paced = false;  // it took a turn of the strangers'
  };
  void admit(Listener& listener, peers::OwnedFd fd);
  void identify(Arrival arrival);
  boost::asio::awaitable<void> identify_later(Arrival arrival, StrangerPace::Clock::duration wait);
  // Waits for the turn of a stranger's request.
  boost::asio::awaitable<void> strangers_turn(std::uint32_t uid);
  void hold(std::uint32_t uid);
  void release(std::uint32_t uid);
  bool has_room(Socket kind, std::uint32_t uid, bool listed) const;
  boost::asio::awaitable<void> refuse_peer(peers::OwnedFd fd, peers::Refusal why,
                                           std::uint32_t uid);
  void turn_away(peers::OwnedFd fd);  // over a limit
  void answer_and_close(peers::OwnedFd fd, const Response& response);
  // Says no more, and stays open for a while: closed with unread bytes, the answer would be lost.
  void linger(peers::OwnedFd fd);
  void start(std::shared_ptr<Connection> connection);
  void forget(Connection& connection);

  boost::asio::io_context& io_;
  peers::Census& census_;
  const std::vector<CallShape> calls_;
  const Hooks hooks_;
  const std::size_t max_strangers_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::list<std::shared_ptr<Connection>> connections_;
  std::list<Lingering> lingering_;  // answered and half closed; the client may still be writing
  std::unordered_map<std::uint32_t, std::size_t> per_uid_;
  std::size_t strangers_ = 0;
  StrangerPace pace_;
  std::size_t refusing_ = 0;  // refusals that are being recorded, and strangers that wait
  Counts counts_;
  bool stopping_ = false;
  std::vector<std::uint8_t> scratch_;  // where every connection reads; used between two awaits only
};

std::string new_correlation_id();

}  // namespace badged::front
