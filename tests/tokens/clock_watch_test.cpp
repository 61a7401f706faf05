// The wall clock steps back and forward an hour: issuance pauses, and goes on when it may.
#include "daemon/clock_watch.h"

#include <catch2/catch.hpp>

using namespace badged;
using namespace std::chrono_literals;

namespace {

struct Clocks {
  ClockWatch::Reading now{1'769'903'999s, 5000s};
  ClockWatch watch{[this] { return now; }};
  void pass(ClockWatch::Duration time) {
    now.wall += time;
    now.boot += time;
  }
};

}  // namespace

TEST_CASE("time that passes, and slewing, are no step") {
  Clocks clocks;
  for (int i = 0; i < 100; ++i) {
    clocks.pass(1s);
    clocks.now.wall += i % 2 == 0 ? 2000ms : -2000ms;
    CHECK_FALSE(clocks.watch.look());
    CHECK(clocks.watch.trustworthy());
  }
  clocks.pass(8h);  // a suspended host: both clocks went on
  CHECK_FALSE(clocks.watch.look());
  CHECK(clocks.watch.trustworthy());
}

TEST_CASE("a step back of an hour is told, and pauses until the clock has caught up") {
  Clocks clocks;
  clocks.pass(10s);
  CHECK_FALSE(clocks.watch.look());
  clocks.now.wall -= 1h;
  CHECK(clocks.watch.look() == ClockWatch::Duration(-1h));
  CHECK_FALSE(clocks.watch.trustworthy());
  CHECK_FALSE(clocks.watch.look());  // told once
  clocks.pass(1h - 1ms);
  CHECK_FALSE(clocks.watch.look());
  CHECK_FALSE(clocks.watch.trustworthy());
  clocks.pass(1ms);
  CHECK_FALSE(clocks.watch.look());
  CHECK(clocks.watch.trustworthy());
}

TEST_CASE("a step back that is undone ends the pause") {
  Clocks clocks;
  clocks.now.wall -= 1h;
  clocks.watch.look();
  clocks.pass(5s);
  clocks.now.wall += 1h;
  CHECK(clocks.watch.look() == ClockWatch::Duration(1h));
  CHECK(clocks.watch.trustworthy());
}

TEST_CASE("an admin's word ends the pause, and a later step back begins another") {
  Clocks clocks;
  clocks.now.wall -= 1h;
  clocks.watch.look();
  clocks.watch.accept();
  CHECK(clocks.watch.trustworthy());
  clocks.pass(1s);
  CHECK_FALSE(clocks.watch.look());
  CHECK(clocks.watch.trustworthy());
  clocks.now.wall -= 3s;
  CHECK(clocks.watch.look() == ClockWatch::Duration(-3s));
  CHECK_FALSE(clocks.watch.trustworthy());
  // It ends at the time that was accepted, not at the one before.
  clocks.pass(3s);
  clocks.watch.look();
  CHECK(clocks.watch.trustworthy());
}

TEST_CASE("a step forward is told and goes on; coming back from it pauses") {
  Clocks clocks;
  clocks.pass(1s);
  clocks.now.wall += 1h;
  CHECK(clocks.watch.look() == ClockWatch::Duration(1h));
  CHECK(clocks.watch.trustworthy());
  clocks.now.wall -= 1h;
  CHECK(clocks.watch.look() == ClockWatch::Duration(-1h));
  CHECK_FALSE(clocks.watch.trustworthy());
}

TEST_CASE("the real clocks go forward") {
  const auto first = ClockWatch::read_clocks();
  const auto second = ClockWatch::read_clocks();
  CHECK(first.wall > 1'700'000'000s);
  CHECK(second.boot >= first.boot);
  ClockWatch watch;
  CHECK(watch.trustworthy());
}
