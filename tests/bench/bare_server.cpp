// The limit for an HTTP call: Boost.Beast on a Unix socket, one thread, that answers every request
// with bytes it was given. No caller is identified, nothing is signed, nothing recorded.
//
//   bare_server SOCKET ANSWER-BYTES
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <csignal>
#include <iostream>
#include <string>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Stream = asio::local::stream_protocol::socket;

asio::awaitable<void> serve(Stream stream, const std::string& body) {
  boost::beast::flat_buffer buffer;
  for (;;) {
    http::request<http::string_body> request;
    co_await http::async_read(stream, buffer, request, asio::use_awaitable);
    http::response<http::string_body> response{http::status::ok, 11};
    response.set(http::field::content_type, "application/json");
    response.body() = body;
    response.prepare_payload();
    co_await http::async_write(stream, response, asio::use_awaitable);
  }
}

asio::awaitable<void> accept(asio::local::stream_protocol::acceptor& acceptor,
                             const std::string& body) {
  for (;;) {
    auto stream = co_await acceptor.async_accept(asio::use_awaitable);
    // A connection ends by the exception of its read; there is nothing to do then.
    asio::co_spawn(acceptor.get_executor(), serve(std::move(stream), body),
                   [](std::exception_ptr) {});
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: bare_server SOCKET ANSWER-BYTES\n";
    return 2;
  }
  asio::io_context io{1};
  asio::signal_set end(io, SIGTERM, SIGINT);
  end.async_wait([&](auto...) { io.stop(); });
  ::unlink(argv[1]);
  asio::local::stream_protocol::acceptor acceptor(io, {argv[1]});
  const std::string body(std::stoul(argv[2]), 'x');
  asio::co_spawn(io, accept(acceptor, body), [](std::exception_ptr) {});
  io.run();
}
