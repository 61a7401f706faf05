#include "daemon/clock_watch.h"

#include <algorithm>
#include <ctime>

namespace badged {
namespace {

ClockWatch::Duration read_clock(clockid_t which) {
  timespec now{};
  ::clock_gettime(which, &now);
  return std::chrono::duration_cast<ClockWatch::Duration>(std::chrono::seconds(now.tv_sec) +
                                                          std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

ClockWatch::Reading ClockWatch::read_clocks() {
  return {read_clock(CLOCK_REALTIME), read_clock(CLOCK_BOOTTIME)};
}

ClockWatch::ClockWatch(Source source)
    : source_(std::move(source)), last_(source_()), latest_wall_(last_.wall) {}

std::optional<ClockWatch::Duration> ClockWatch::look() {
  const auto now = source_();
  const auto step = (now.wall - last_.wall) - (now.boot - last_.boot);
  last_ = now;
  if (step < -kTolerance) trustworthy_ = false;
  if (now.wall >= latest_wall_) trustworthy_ = true;
  latest_wall_ = std::max(latest_wall_, now.wall);
  if (step >= -kTolerance && step <= kTolerance) return std::nullopt;
  return step;
}

void ClockWatch::accept() {
  latest_wall_ = last_.wall;
  trustworthy_ = true;
}

}  // namespace badged
