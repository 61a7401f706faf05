// Sessions of real processes: one each, and every way they end.
#include "daemon/tokens/sessions.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/peers/census.h"
#include "daemon/tokens/limits.h"
#include "tests/tokens/support.h"

using namespace badged;
using namespace badged::test;
using namespace badged::tokens;
using keystore::Custody;

namespace {

// A process that connects, and then waits to be killed.
class Caller {
 public:
  Caller() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;  // autobind: an abstract name of the kernel's choice
    const peers::OwnedFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    socklen_t size = sizeof(sa_family_t);
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    size = sizeof address;
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    REQUIRE(peers::prepare_listener(listener.get()));
    REQUIRE(::listen(listener.get(), 1) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      if (::connect(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) ::_exit(1);
      for (;;) ::pause();
    }
    connection_.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(connection_);
  }
  ~Caller() { kill(); }
  int connection() const { return connection_.get(); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  peers::OwnedFd connection_;
};

struct World {
  explicit World(StoreKind kind = StoreKind::software) : fixture(kind) {}

  std::shared_ptr<peers::Process> admit(const Caller& caller) {
    auto process = census.admit(caller.connection());
    REQUIRE(process.has_value());
    return *process;
  }
  Result<SessionPtr> open(const std::shared_ptr<peers::Process>& process,
                          const agents::RecordPtr& record,
                          Custody custody = Custody::locked_memory) {
    return loop.run(sessions.open(process, record, custody));
  }

  // First: the store's thread may still be in a post to the loop when its answer is here already.
  Loop loop;
  StoreFixture fixture;
  Gate gate{fixture.store()};
  peers::Census census{loop.io};
  std::vector<std::string> ended;  // "AGENT: WHY"
  Sessions sessions{loop.io, gate, [this](const Session& session, const char* why) {
                      ended.push_back(session.agent() + ": " + why);
                    }};
};

using Log = std::vector<std::string>;

}  // namespace

TEST_CASE("a process has one session per agent, whichever connection it comes by") {
  World world;
  const Caller one, two;
  const auto process = world.admit(one);
  const auto record = record_of("bot");
  CHECK(world.sessions.find(*process, *record) == nullptr);
  const auto first = world.open(process, record);
  REQUIRE(first);
  CHECK(world.open(process, record).value() == *first);
  CHECK(world.open(world.admit(one), record).value() == *first);
  CHECK(world.sessions.find(*process, *record) == *first);
  CHECK((*first)->memory_key() != nullptr);
  const auto other = world.open(world.admit(two), record);
  REQUIRE(other);
  CHECK(*other != *first);
  CHECK((*other)->jkt() != (*first)->jkt());
  CHECK((*other)->id() != (*first)->id());
  CHECK(world.open(process, record_of("second")).value() != *first);
  CHECK(world.sessions.size() == 3);
  CHECK(world.ended.empty());
}

TEST_CASE("the exit of its process ends a session, and its locked key is gone") {
  World world;
  Caller caller;
  const auto before = keystore::locked_memory_used();
  const auto process = world.admit(caller);
  const auto session = world.open(process, record_of("bot")).value();
  CHECK(keystore::locked_memory_used() > before);
  caller.kill();
  world.loop.run_until([&] { return session->ended(); });
  CHECK(keystore::locked_memory_used() == before);
  CHECK(world.ended == Log{"bot: exited"});
  CHECK(world.sessions.size() == 0);
  CHECK(world.sessions.find(*process, *record_of("bot")) == nullptr);
  CHECK(world.open(process, record_of("bot")).error().code == Errc::changed);
  CHECK(world.sessions.size() == 0);
}

TEST_CASE("callers that come while a session's key is made wait for the same one") {
  const auto kind = GENERATE(StoreKind::software, StoreKind::tpm);
  World world(kind);
  const Caller caller;
  const auto process = world.admit(caller);
  const auto record = record_of("bot");
  world.gate.hold_keys = true;
  std::vector<std::shared_ptr<std::optional<Result<SessionPtr>>>> opening;
  for (int i = 0; i < 5; ++i)
    opening.push_back(world.loop.begin(world.sessions.open(process, record, Custody::tpm)));
  while (world.loop.io.poll() > 0) {
  }
  CHECK(world.gate.held() == 1);
  CHECK(world.sessions.find(*process, *record) == nullptr);
  world.gate.release();
  world.loop.run_until([&] {
    return std::all_of(opening.begin(), opening.end(),
                       [](const auto& each) { return each->has_value(); });
  });
  for (const auto& each : opening) {
    REQUIRE(**each);
    CHECK((**each).value() == (**opening[0]).value());
  }
  CHECK(world.gate.created == 1);
  const auto session = (**opening[0]).value();
  REQUIRE(session->stored_key() != nullptr);
  CHECK(sign(world.fixture.store(), session->stored_key()->id, Digest{}));
  world.sessions.end_all("stop");
  CHECK(world.gate.destroyed == 1);
  CHECK(world.ended == Log{"bot: stop"});
  CHECK_FALSE(sign(world.fixture.store(), session->stored_key()->id, Digest{}));
}

TEST_CASE("no more callers wait for one key than the limit, and the rest is told at once") {
  World world;
  const Caller caller;
  const auto process = world.admit(caller);
  const auto record = record_of("bot");
  world.gate.hold_keys = true;
  std::vector<std::shared_ptr<std::optional<Result<SessionPtr>>>> opening;
  for (std::size_t i = 0; i <= limits::kMaxWaitersPerSession; ++i)
    opening.push_back(world.loop.begin(world.sessions.open(process, record, Custody::tpm)));
  CHECK(world.open(process, record, Custody::tpm).error().code == Errc::busy);
  world.gate.release();
  world.loop.run_until([&] { return opening.back()->has_value(); });
  CHECK((**opening.back()).has_value());
}

TEST_CASE("no more sessions than the limit: the next is told to come back, the others go on") {
  World world;
  const Caller caller;
  const auto process = world.admit(caller);
  for (std::size_t i = 0; i < limits::kMaxSessions; ++i)
    REQUIRE(world.open(process, record_of("bot-" + std::to_string(i))).has_value());
  const auto record = record_of("one-too-many");
  const auto refused = world.open(process, record);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::busy);
  CHECK(world.sessions.find(*process, *record) == nullptr);
  CHECK(world.open(process, record_of("bot-0")).has_value());
  CHECK(world.ended.empty());
}

TEST_CASE("a process that ends while its key is made gets none, and the key is destroyed") {
  World world;
  Caller caller;
  const auto process = world.admit(caller);
  world.gate.hold_keys = true;
  const auto opening =
      world.loop.begin(world.sessions.open(process, record_of("bot"), Custody::tpm));
  const auto waiting =
      world.loop.begin(world.sessions.open(process, record_of("bot"), Custody::tpm));
  while (world.gate.held() == 0) world.loop.io.poll();
  caller.kill();
  world.loop.run_until([&] { return process->ended().has_value(); });
  world.gate.release();
  world.loop.run_until([&] { return opening->has_value() && waiting->has_value(); });
  CHECK((**opening).error().code == Errc::changed);
  CHECK((**waiting).error().code == Errc::changed);
  CHECK(world.gate.destroyed == 1);
  CHECK(world.sessions.size() == 0);
}

TEST_CASE("sessions that end while a key is made leave nothing behind") {
  World world;
  const Caller caller;
  const auto process = world.admit(caller);
  world.gate.hold_keys = true;
  const auto opening =
      world.loop.begin(world.sessions.open(process, record_of("bot"), Custody::tpm));
  while (world.gate.held() == 0) world.loop.io.poll();
  world.sessions.end_all("stop");
  world.gate.release();
  world.loop.run_until([&] { return opening->has_value(); });
  CHECK((**opening).error().code == Errc::busy);
  CHECK(world.gate.destroyed == 1);
  CHECK(world.ended == Log{"bot: superseded"});
}

TEST_CASE("a session whose key is made while the records change ends unborn") {
  World world;
  const Caller caller;
  const auto process = world.admit(caller);
  world.gate.hold_keys = true;
  const auto opening =
      world.loop.begin(world.sessions.open(process, record_of("bot"), Custody::tpm));
  while (world.gate.held() == 0) world.loop.io.poll();
  world.sessions.retain([](const Session&) { return true; });
  world.gate.release();
  world.loop.run_until([&] { return opening->has_value(); });
  CHECK((**opening).error().code == Errc::busy);
  CHECK(world.gate.destroyed == 1);
  CHECK(world.sessions.size() == 0);
}

TEST_CASE("a key that cannot be made is everybody's error, and the next try is a new one") {
  World world;
  const Caller caller;
  const auto process = world.admit(caller);
  const auto record = record_of("bot");
  world.gate.fail_with = fail(Errc::unavailable, "the TPM is away");
  const auto one = world.loop.begin(world.sessions.open(process, record, Custody::tpm));
  const auto two = world.loop.begin(world.sessions.open(process, record, Custody::tpm));
  world.loop.run_until([&] { return one->has_value() && two->has_value(); });
  CHECK((**one).error().code == Errc::unavailable);
  CHECK((**two).error().code == Errc::unavailable);
  CHECK(world.sessions.size() == 0);
  world.gate.fail_with.reset();
  CHECK(world.open(process, record, Custody::tpm));
}

TEST_CASE("a record that now wants another kind of key ends the session with the old one") {
  World world;
  const Caller caller;
  const auto process = world.admit(caller);
  const auto record = record_of("bot");
  const auto memory = world.open(process, record).value();
  const auto stored = world.open(process, record, Custody::tpm).value();
  CHECK(memory->ended());
  CHECK(stored->custody() == Custody::tpm);
  CHECK(world.sessions.find(*process, *record) == stored);
  CHECK(world.open(process, record).value()->memory_key() != nullptr);
  CHECK(world.gate.destroyed == 1);
  CHECK(world.ended == Log{"bot: custody-changed", "bot: custody-changed"});
}

TEST_CASE("a unit's processes share one session, which outlives the one that opened it") {
  World world;
  Caller first;
  const Caller second;
  const auto record = record_of("bot", agents::Binding::unit);
  const auto opener = world.admit(first);
  const auto session = world.open(opener, record).value();
  CHECK(world.open(world.admit(second), record).value() == session);
  CHECK(world.sessions.size() == 1);
  first.kill();
  world.loop.run_until([&] { return opener->ended().has_value(); });
  CHECK_FALSE(session->ended());
  CHECK(world.sessions.find(*world.admit(second), *record) == session);
  // These processes are of no unit, so no invocation of theirs is current.
  world.sessions.sweep();
  CHECK(session->ended());
  CHECK(world.ended == Log{"bot: invocation-ended"});
}

TEST_CASE("a sweep leaves sessions of processes alone") {
  World world;
  const Caller caller;
  const auto session = world.open(world.admit(caller), record_of("bot")).value();
  world.sessions.sweep();
  CHECK_FALSE(session->ended());
}

TEST_CASE("a reload ends the sessions of agents whose record went or changed") {
  World world;
  const Caller caller;
  const auto process = world.admit(caller);
  const auto kept = world.open(process, record_of("kept")).value();
  const auto gone = world.open(process, record_of("gone")).value();
  world.sessions.retain([](const Session& session) { return session.agent() == "kept"; });
  CHECK_FALSE(kept->ended());
  CHECK(gone->ended());
  CHECK(world.ended == Log{"gone: record-changed"});
}

TEST_CASE("a session keeps its process, so no other can come to its place") {
  World world;
  const Caller caller;
  std::weak_ptr<peers::Process> process;
  SessionPtr session;
  {
    const auto held = world.admit(caller);
    process = held;
    session = world.open(held, record_of("bot")).value();
  }
  CHECK_FALSE(process.expired());
  CHECK(world.sessions.find(*world.admit(caller), *record_of("bot")) == session);
  world.sessions.end_all("stop");
  CHECK(process.expired());
}
