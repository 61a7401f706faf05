// A connection and its server, with a real socket and this test as the caller.
#include "daemon/front/connection.h"

#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <catch2/catch.hpp>

#include "tests/front/calls.h"

using namespace badged;
using namespace badged::front;
using namespace badged::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

using Clock = std::chrono::steady_clock;

const std::string kRequest = "GET /v1/jwks HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kLast = "GET /v1/jwks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

struct World {
  asio::io_context io{1};
  peers::Census census{io};
  std::vector<int> handled;  // the connections' descriptors, in order
  Server server{io,
                census,
                {kCalls.begin(), kCalls.end()},
                Hooks{[this](Exchange exchange) -> asio::awaitable<Response> {
                        handled.push_back(exchange.connection_fd);
                        Response response;
                        response.body = "{}";
                        co_return response;
                      },
                      [](const peers::ProcessFacts&) { return true; }, [] { return false; },
                      [](peers::Refusal, std::uint32_t, std::string) -> asio::awaitable<Response> {
                        co_return Response{};
                      },
                      [](const std::string&) {}}};
  void settle() {
    io.restart();
    while (io.poll() > 0) {
    }
  }
};

// One end is the test's, the other the connection's.
struct Client {
  Client(World& in, bool listed) : world(in) {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    ours.reset(pair[0]);
    REQUIRE(peers::prepare_listener(pair[1]).has_value());  // SO_PASSCRED before the first byte
    descriptor = pair[1];
    auto process = world.census.admit(pair[1]);
    REQUIRE(process.has_value());
    auto stream = peers::Stream::open(world.io, peers::OwnedFd(pair[1]), std::move(*process));
    REQUIRE(stream.has_value());
    connection =
        std::make_shared<Connection>(world.server, std::move(*stream), Socket::agent, listed);
    asio::co_spawn(world.io, connection->run(), [this](std::exception_ptr failure) {
      ended = true;
      failed = failure != nullptr;
    });
  }
  ~Client() {
    connection->close();
    world.settle();
    CHECK(ended);
    CHECK_FALSE(failed);
  }
  void send(std::string_view bytes) {
    REQUIRE(::send(ours.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
  }
  std::string received() {
    std::string out(1 << 20, '\0');
    const auto got = ::recv(ours.get(), out.data(), out.size(), MSG_DONTWAIT);
    out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return out;
  }

  World& world;
  peers::OwnedFd ours;
  int descriptor = -1;
  std::shared_ptr<Connection> connection;
  bool ended = false;
  bool failed = false;
};

int answers_in(const std::string& text) {
  constexpr std::string_view mark = "\r\nContent-Length: ";
  int count = 0;
  for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("requests that come in one piece are each answered, in order, until the last") {
  World world;
  Client client(world, true);
  client.send(kRequest + kRequest + kLast + kRequest);
  world.settle();
  CHECK(answers_in(client.received()) == 3);
  CHECK(client.ended);
}

TEST_CASE("an idle listed connection may stay; a stranger's may not for long") {
  World world;
  Client listed(world, true);
  Client stranger(world, false);
  world.settle();
  CHECK_FALSE(listed.connection->overdue(Clock::now() + 24h));
  CHECK_FALSE(stranger.connection->overdue(Clock::now() + limits::kStrangerIdle - 5s));
  CHECK(stranger.connection->overdue(Clock::now() + limits::kStrangerIdle));
  listed.send(kRequest);
  world.settle();
  CHECK(answers_in(listed.received()) == 1);
  CHECK_FALSE(listed.connection->overdue(Clock::now() + 24h));
}

TEST_CASE("a request that does not end has a deadline, also one that began behind another") {
  World world;
  Client client(world, true);
  SECTION("the first") {
    client.send("G");
  }
  SECTION("after an answer") {
    client.send(kRequest);
    world.settle();
    client.send(kRequest.substr(0, 20));
  }
  SECTION("in one piece with the one before") {
    client.send(kRequest + "G");
  }
  SECTION("a body that does not come") {
    client.send(kRequest + "POST /v1/token HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
  }
  world.settle();
  CHECK_FALSE(client.connection->overdue(Clock::now()));
  CHECK(client.connection->overdue(Clock::now() + limits::kRequestDeadline));
}

TEST_CASE("a connection that pipelines takes turns with others") {
  World world;
  Client greedy(world, true);
  Client modest(world, true);
  std::string many;
  for (int i = 0; i < 100; ++i) many += kRequest;
  greedy.send(many);
  modest.send(kRequest);
  world.settle();
  CHECK(world.handled.size() == 101);
  const auto place = std::find(world.handled.begin(), world.handled.end(), modest.descriptor);
  CHECK(place - world.handled.begin() < 5);
}

TEST_CASE("a refused request is answered, and nothing behind it is read") {
  World world;
  Client client(world, true);
  client.send("GET /v1/jwks HTTP/1.0\r\nHost: a\r\n\r\n" + kRequest);
  world.settle();
  const auto text = client.received();
  CHECK(answers_in(text) == 1);
  CHECK(text.starts_with("HTTP/1.1 505 "));
  CHECK(text.find("\r\nConnection: close\r\n") != std::string::npos);
  CHECK(text.find("\"correlation_id\":\"") != std::string::npos);
  CHECK(world.handled.empty());
  CHECK(client.ended);
}

TEST_CASE("a caller that closes early ends its connection quietly") {
  World world;
  Client client(world, true);
  client.send(kRequest.substr(0, 10));
  world.settle();
  client.ours.reset();
  world.settle();
  CHECK(client.ended);
  CHECK(world.handled.empty());
}
