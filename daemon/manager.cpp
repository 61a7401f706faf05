#include "daemon/manager.h"

#include <systemd/sd-daemon.h>

#include <ctime>

namespace badged {

void Manager::ready(const std::string& status) const {
  sd_notifyf(0, "READY=1\nSTATUS=%s", status.c_str());
}

void Manager::reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
             static_cast<long long>(now.tv_sec) * 1000000 + now.tv_nsec / 1000);
}

void Manager::status(const std::string& status) const {
  sd_notifyf(0, "STATUS=%s", status.c_str());
}

void Manager::stopping() const {
  sd_notify(0, "STOPPING=1");
}

void Manager::alive() const {
  sd_notify(0, "WATCHDOG=1");
}

}  // namespace badged
