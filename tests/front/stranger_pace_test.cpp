#include "daemon/front/stranger_pace.h"

#include <catch2/catch.hpp>

#include "daemon/front/limits.h"

using namespace badged::front;
using namespace std::chrono_literals;
using Clock = StrangerPace::Clock;

namespace {

const Clock::time_point kStart{1h};

int immediate(StrangerPace& pace, std::uint32_t uid, Clock::time_point now) {
  int count = 0;
  while (pace.take(uid, now) == Clock::duration::zero()) ++count;
  return count;
}

}  // namespace

TEST_CASE("a stranger has a burst, then its pace, then is turned away (H8)") {
  StrangerPace pace;
  REQUIRE(immediate(pace, 1, kStart) == limits::kStrangerBurst);
  const auto interval = Clock::duration(1s) / limits::kStrangerRate;
  REQUIRE(pace.take(1, kStart) == 2 * interval);  // one wait was taken by immediate()
  int waiting = 2;
  while (pace.take(1, kStart)) ++waiting;
  REQUIRE(waiting == limits::kStrangerRate);
  REQUIRE_FALSE(pace.take(1, kStart).has_value());
  REQUIRE(pace.take(1, kStart + interval) == limits::kMaxStrangerWait);
}

TEST_CASE("another stranger is not slowed, until all together are too many (H8)") {
  StrangerPace pace;
  int served = 0;
  for (std::uint32_t uid = 0; uid < 1000; ++uid) served += immediate(pace, uid, kStart);
  // Each takes a few turns that it has to wait for, of those of all.
  REQUIRE(served <= limits::kStrangersBurst);
  REQUIRE(served > limits::kStrangersBurst - 10);
  REQUIRE(immediate(pace, 5000, kStart + 3s) == limits::kStrangerBurst);
}

TEST_CASE("a turn given back is another's") {
  StrangerPace pace;
  REQUIRE(immediate(pace, 1, kStart) == limits::kStrangerBurst);
  pace.give_back(1);
  pace.give_back(1);
  REQUIRE(pace.take(1, kStart) == Clock::duration::zero());
}

TEST_CASE("uids beyond the bound share one pace, and idle ones are forgotten (H10)") {
  StrangerPace pace;
  auto now = kStart;
  for (std::uint32_t uid = 0; uid < limits::kMaxStrangerUids; ++uid) {
    REQUIRE(pace.take(uid, now).has_value());
    now += 1ms;
  }
  int shared = 0;
  for (std::uint32_t uid = 100000; uid < 101000; ++uid)
    shared += pace.take(uid, now) == Clock::duration::zero();
  REQUIRE(shared <= limits::kStrangerBurst);
  now += 1min;
  pace.sweep(now);
  REQUIRE(immediate(pace, 200000, now) == limits::kStrangerBurst);
  REQUIRE(immediate(pace, 200001, now) == limits::kStrangerBurst);
}
