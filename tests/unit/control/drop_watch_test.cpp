#include "relay/control/drop_watch.h"

#include <doctest/doctest.h>

using namespace earshot;
using namespace earshot::control;

namespace {

class Seconds {
 public:
  // One more second in which a stream of 50 packets lost that many.
  bool pass(std::uint64_t dropped, Ssrc ssrc = {7}) {
    received_ += 50;
    dropped_ += dropped;
    watch_.add(ssrc, received_, dropped_);
    return end();
  }
  bool end() {
    now_ = now_ + seconds(1);
    return watch_.on_second(now_);
  }
  bool pass_many(int count, std::uint64_t dropped) {
    bool was_told = false;
    for (int i = 0; i < count; ++i) was_told = pass(dropped) || was_told;
    return was_told;
  }
  void begin_anew() { received_ = dropped_ = 0; }

 private:
  DropWatch watch_;
  Time now_{1};
  std::uint64_t received_ = 0, dropped_ = 0;
};

}  // namespace

TEST_CASE("a jump of losses is told once") {
  Seconds s;
  CHECK_FALSE(s.pass_many(40, 0));
  CHECK_FALSE(s.pass(9));
  CHECK(s.pass(4));
  CHECK_FALSE(s.pass_many(20, 9));
}

TEST_CASE("few losses, and losses that were always there, are no jump") {
  Seconds s;
  CHECK_FALSE(s.pass_many(100, 1));
  Seconds always;
  // The first seconds look like a jump: nothing is known of before.
  always.pass_many(40, 10);
  CHECK_FALSE(always.pass_many(100, 10));
}

TEST_CASE("the next one is told after a minute, and a stream that begins anew is another") {
  Seconds s;
  s.pass_many(40, 0);
  CHECK(s.pass(20));
  CHECK_FALSE(s.pass_many(45, 0));
  CHECK_FALSE(s.pass(20));
  CHECK_FALSE(s.pass_many(45, 0));
  CHECK(s.pass(20));
  s.begin_anew();
  CHECK_FALSE(s.pass_many(70, 0));
  CHECK(s.pass(30));
}
