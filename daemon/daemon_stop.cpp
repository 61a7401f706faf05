// How badged ends: what is in flight is answered, what must be kept is on disk, then everything
// goes.
#include <chrono>
#include <cstdlib>
#include <future>
#include <thread>

#include "daemon/calls/recording.h"
#include "daemon/daemon.h"
#include "daemon/journal.h"

namespace badged {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

// What a TPM's command may still take at stop; systemd kills 20 s after it asked.
constexpr auto kStoreStop = 8s;
}  // namespace

awaitable<void> Daemon::stop() {
  if (stopping_) co_return;
  stopping_ = true;
  manager_.stopping();
  log(Level::info, "stopping");
  co_await server_->stop();
  sessions_->end_all("stop");
  recorder_->flush(audit::Recorder::Clock::now(), true);
  co_await calls::durable(*service_, audit::Entry("stop").text("host", config_.host));
  co_await checkpoint();
  hangup_.cancel();
  ticker_.cancel();
  upkeep_.cancel();
  review_stop_.request_stop();
  review_.cancel();
  store_change_.cancel();
  census_->stop();
  io_.stop();
}

// Its thread may be within a command that never ends, and cannot be joined then. All that must be
// kept is on disk, and keys in locked memory go with the process.
void Daemon::close_store() {
  const auto patience = store_->check_deadline() ? 0s : kStoreStop;
  std::promise<void> closed;
  std::thread closing([&] {
    store_.reset();
    closed.set_value();
  });
  if (closed.get_future().wait_for(patience) == std::future_status::timeout) {
    log(Level::error, "stopped while the key store hangs");
    std::_Exit(0);
  }
  closing.join();
}

}  // namespace badged
