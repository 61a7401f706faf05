#include "daemon/front/stranger_pace.h"

#include <algorithm>

#include "daemon/front/limits.h"

namespace badged::front {
namespace {

using Clock = StrangerPace::Clock;

struct Rate {
  Clock::duration interval;
  Clock::duration burst;

  Clock::time_point next(Clock::time_point due, Clock::time_point now) const {
    return std::max(due, now) + interval;
  }
  Clock::duration wait(Clock::time_point due, Clock::time_point now) const {
    return std::max(Clock::duration::zero(), due - now - burst);
  }
};

constexpr Rate rate_of(int per_second, int burst) {
  const Clock::duration interval = Clock::duration(std::chrono::seconds(1)) / per_second;
  return {interval, interval * burst};
}

constexpr Rate kEach = rate_of(limits::kStrangerRate, limits::kStrangerBurst);
constexpr Rate kAll = rate_of(limits::kStrangersRate, limits::kStrangersBurst);
// (uid_t) -1 is nobody's: what uids share once too many are known.
constexpr std::uint32_t kOthers = 0xFFFFFFFF;

}  // namespace

StrangerPace::Due& StrangerPace::due_of(std::uint32_t uid) {
  const auto found = per_uid_.find(uid);
  if (found != per_uid_.end()) return found->second;
  return per_uid_[per_uid_.size() < limits::kMaxStrangerUids ? uid : kOthers];
}

std::optional<Clock::duration> StrangerPace::take(std::uint32_t uid, Clock::time_point now) {
  const auto wait = queue(uid, now);
  if (wait <= limits::kMaxStrangerWait) return wait;
  give_back(uid);
  return std::nullopt;
}

Clock::duration StrangerPace::queue(std::uint32_t uid, Clock::time_point now) {
  Due& mine = due_of(uid);
  mine = kEach.next(mine, now);
  all_ = kAll.next(all_, now);
  return std::max(kEach.wait(mine, now), kAll.wait(all_, now));
}

void StrangerPace::give_back(std::uint32_t uid) {
  due_of(uid) -= kEach.interval;
  all_ -= kAll.interval;
}

void StrangerPace::sweep(Clock::time_point now) {
  std::erase_if(per_uid_, [now](const auto& entry) { return entry.second <= now; });
}

}  // namespace badged::front
