// PID 1's manager, asked over D-Bus. Blocks: for one worker thread only.
#pragma once

#include <systemd/sd-bus.h>

#include <chrono>
#include <memory>
#include <string>

#include "daemon/peers/refusal.h"

namespace badged::peers {

struct MainProcessSeen {
  pid_t main_pid = 0;         // 0: none now
  bool claimable = false;     // NotifyAccess=all or PIDFile=: other processes can claim the role
  std::string invocation_id;  // the same before and after the rest was read
};

class UnitManager {
 public:
  // Refusals: manager_unavailable, no_unit (not a loaded service), unit_changed (while asking).
  // Takes at most about kManagerDeadline.
  PeerResult<MainProcessSeen> ask(const std::string& unit);

 private:
  struct Close {
    void operator()(sd_bus* bus) const { ::sd_bus_close_unref(bus); }
  };
  using Bus = std::unique_ptr<sd_bus, Close>;
  struct Question;

  bool connect();
  bool connect_to(const char* private_address);

  Bus bus_;
  const char* destination_ = nullptr;  // null on the private socket
  std::chrono::steady_clock::time_point silent_until_{};
};

}  // namespace badged::peers
