// Is this process the main process of its unit? Only PID 1 knows, so PID 1 is asked, on a thread of
// our own, over the system bus or, for root, over its private socket.
//
// An agent's tool subprocess runs under the same unit, uid and interpreter: this is what tells the
// two apart. A unit whose processes can claim the role (NotifyAccess=all, or a PID file) is refused
// with main_process_open.
//
// Answers are kept per unit and InvocationID, and callers that ask about the same unit at once
// share one query. Belongs to the I/O thread.
#pragma once

#include <functional>
#include <memory>

#include "daemon/peers/limits.h"
#include "daemon/peers/process.h"
#include "daemon/peers/refusal.h"

namespace boost::asio {
class io_context;
}

namespace badged::peers {

class MainProcesses {
 public:
  using Callback = std::function<void(PeerResult<void>)>;

  explicit MainProcesses(boost::asio::io_context& io);
  // Joins the worker, which takes at most kManagerDeadline. Callbacks not yet called are dropped.
  ~MainProcesses();
  MainProcesses(const MainProcesses&) = delete;
  MainProcesses& operator=(const MainProcesses&) = delete;

  // Calls back exactly once, on the I/O thread: inline when the answer is known (a refusal without
  // a query, or kept), else later. Success: the process is its unit's main process now, alive, and
  // of the same invocation. Refusals: no_unit, not_main_process, main_process_open,
  // main_process_unset, unit_changed, manager_unavailable, busy, and those of Process::check().
  void confirm(std::shared_ptr<Process> process, Callback callback);

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace badged::peers
