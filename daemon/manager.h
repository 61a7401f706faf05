// What systemd is told: sd_notify(3). Without a manager every call does nothing.
#pragma once

#include <string>

namespace badged {

class Manager {
 public:
  void ready(const std::string& status) const;
  void reloading() const;  // until the next ready(); systemd 252 wants it with the time
  void status(const std::string& status) const;
  void stopping() const;
  void alive() const;  // WATCHDOG=1; harmless where no watchdog is set
};

}  // namespace badged
