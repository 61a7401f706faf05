// May the wall clock be trusted for `iat` and `exp`? It may step; CLOCK_BOOTTIME does not.
//
// After a step back beyond kTolerance issuance pauses until the wall clock has caught up with the
// latest time seen, or an admin accepts it with a reload: a token made now would carry an `exp`
// that a verifier has perhaps passed already, and replay windows would open again.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

namespace badged {

class ClockWatch {
 public:
  using Duration = std::chrono::milliseconds;
  struct Reading {
    Duration wall;  // since 1970
    Duration boot;  // CLOCK_BOOTTIME
  };
  using Source = std::function<Reading()>;
  static Reading read_clocks();

  explicit ClockWatch(Source source = read_clocks);

  // The step since the last look, if it is beyond tolerance; positive is forward. Call each second
  // and whenever the kernel says that the clock was set.
  std::optional<Duration> look();
  bool trustworthy() const { return trustworthy_; }
  void accept();  // an admin's word that the clock is right now

  // Slewing and a slow tick differ by milliseconds; a person or NTP steps by more.
  static constexpr Duration kTolerance{2000};

 private:
  Source source_;
  Reading last_;
  Duration latest_wall_;
  bool trustworthy_ = true;
};

}  // namespace badged
