// One connection: reads a request, checks who sent it, has it answered, writes the answer, again.
//
// Holds no buffer while idle. The caller's process is checked after the whole request was read and
// again before the answer is written.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <string>

#include "daemon/front/server.h"

namespace badged::front {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Server& server, peers::Stream stream, Socket kind, bool listed);

  boost::asio::awaitable<void> run();

  // Ends the connection at the next chance: what waits is cancelled.
  void close();
  // After the answer that is being made; at once when idle.
  void finish();

  bool overdue(std::chrono::steady_clock::time_point now) const;
  std::uint32_t uid() const { return stream_.process().facts().uid; }
  bool listed() const { return listed_; }
  std::list<std::shared_ptr<Connection>>::iterator place;  // in the server's list

 private:
  using Clock = std::chrono::steady_clock;
  // Empty: the connection is over.
  boost::asio::awaitable<std::optional<Parsed>> read_request();
  void begin_request();
  boost::asio::awaitable<bool> answer(const Request& request);
  boost::asio::awaitable<bool> write(const Response& response, bool keep_alive);
  boost::asio::awaitable<bool> wait_readable();
  // Reads once into the buffer or leaves the bytes in the server's scratch, as `view` says.
  boost::asio::awaitable<bool> more(std::string_view& view);
  boost::asio::awaitable<void> refuse(peers::Refusal refusal);
  boost::asio::awaitable<void> refuse(BadRequest bad);
  // After a refusal: the client may still be writing, and must be able to read why.
  void leave_open();

  Server& server_;
  peers::Stream stream_;
  const Socket kind_;
  const bool listed_;
  bool closing_ = false;
  bool served_ = false;  // at least one request
  bool busy_ = false;    // from a request's first byte to its answer's last
  Clock::time_point deadline_ = Clock::time_point::max();
  std::string pending_;  // an incomplete request, or what follows the one just read
};

}  // namespace badged::front
