// How fast callers without a record are served. Each connection and each request of theirs takes a
// turn; a uid's turns come at kStrangerRate after a burst, those of all strangers together at
// kStrangersRate, so that no number of uids takes the processor from listed callers.
//
// Listed callers and admins never come here. Not thread safe: belongs to the I/O thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>

namespace badged::front {

class StrangerPace {
 public:
  using Clock = std::chrono::steady_clock;

  // Takes the next turn of `uid` and says how long it is off: zero within the burst. nullopt, and
  // nothing taken, when it would be further off than kMaxStrangerWait.
  std::optional<Clock::duration> take(std::uint32_t uid, Clock::time_point now);
  // The same however far off it is. For a request: its connection waits with nothing else under
  // way, and connections are counted.
  Clock::duration queue(std::uint32_t uid, Clock::time_point now);
  // The caller turned out to be listed, or was turned away unserved: its turn is nobody's.
  void give_back(std::uint32_t uid);
  // Forgets uids whose burst is whole again. Call each second.
  void sweep(Clock::time_point now);

 private:
  // The generic cell rate algorithm (ITU-T I.371): when the last turn taken is due.
  using Due = Clock::time_point;
  Due& due_of(std::uint32_t uid);

  std::unordered_map<std::uint32_t, Due> per_uid_;
  Due all_{};
};

}  // namespace badged::front
