#include "tools/client/talk_gate.h"

#include <doctest/doctest.h>

#include <initializer_list>

using namespace earshot;
using namespace earshot::client;

namespace {

constexpr double quiet = -70;
constexpr double loud = -20;

struct Rig {
  explicit Rig(const TalkGateOptions& options) : gate(options) {}
  // 20 ms; levels as they are then.
  bool step(double own = quiet, double others = quiet) {
    now = now + milliseconds(20);
    return gate.step(now, own, others);
  }
  // In how many of that many milliseconds it is open.
  int open_ms(int ms, double own = quiet, double others = quiet) {
    int open = 0;
    for (int i = 0; i < ms / 20; ++i) open += step(own, others) ? 20 : 0;
    return open;
  }
  TalkGate gate;
  Time now = Time{} + seconds(100);
};

}  // namespace

TEST_CASE("a key opens, the next one closes, and nothing else does") {
  Rig rig({TalkMode::toggle});
  CHECK(rig.open_ms(1'000, loud) == 0);
  rig.gate.on_key(rig.now);
  CHECK(rig.open_ms(1'000) == 1'000);
  // Others do not close it: they are muted instead.
  CHECK(rig.open_ms(1'000, quiet, loud) == 1'000);
  CHECK(rig.gate.mutes_others());
  rig.gate.on_key(rig.now);
  CHECK(rig.open_ms(1'000, loud) == 0);
  CHECK_FALSE(rig.gate.mutes_others());
}

TEST_CASE("with headphones nobody is muted") {
  Rig rig({TalkMode::toggle, false});
  rig.gate.on_key(rig.now);
  CHECK(rig.step());
  CHECK_FALSE(rig.gate.mutes_others());
}

TEST_CASE("a key that is held repeats itself, and is released when it does not") {
  Rig rig({TalkMode::hold});
  rig.gate.on_key(rig.now);
  SUBCASE("a slow keyboard: 660 ms to the first repetition") {
    CHECK(rig.open_ms(660) == 660);
    for (int i = 0; i < 30; ++i) {
      rig.gate.on_key(rig.now);
      CHECK(rig.open_ms(40) == 40);
    }
    // Quick to let go.
    CHECK(rig.open_ms(1'000) <= 220);
  }
  SUBCASE("a tap") {
    CHECK(rig.open_ms(2'000) <= 750);
    CHECK(rig.open_ms(1'000) == 0);
  }
  SUBCASE("two quick taps are no shorter than one") {
    rig.open_ms(100);
    rig.gate.on_key(rig.now);
    CHECK(rig.open_ms(2'000) >= 600);
  }
}

TEST_CASE("whoever was stopped does not go on talking") {
  for (const TalkMode mode : {TalkMode::toggle, TalkMode::hold}) {
    Rig rig({mode});
    rig.gate.on_key(rig.now);
    CHECK(rig.step());
    rig.gate.close();
    CHECK(rig.open_ms(100) == 0);
  }
}

TEST_CASE("an open microphone follows the voice, over the pauses between words") {
  Rig rig({TalkMode::open});
  CHECK(rig.open_ms(1'000) == 0);
  CHECK(rig.step(loud));
  CHECK(rig.open_ms(400) == 400);
  CHECK(rig.step(loud));
  CHECK(rig.open_ms(1'000) <= 500);
  // The key means nothing.
  rig.gate.on_key(rig.now);
  CHECK(rig.open_ms(100) == 0);
}

TEST_CASE("an open microphone beside a loudspeaker is closed while others are heard") {
  Rig rig({TalkMode::open, true});
  CHECK(rig.open_ms(200, loud) == 200);
  // At once, whatever the microphone picks up then.
  CHECK_FALSE(rig.step(loud, loud));
  CHECK(rig.gate.is_held_back());
  CHECK(rig.open_ms(1'000, loud, loud) == 0);
  // And until the room has settled.
  CHECK(rig.open_ms(360, loud) == 0);
  CHECK(rig.open_ms(200, loud) >= 160);
  CHECK_FALSE(rig.gate.is_held_back());
}

TEST_CASE("what the microphone picked up of others does not open it afterwards") {
  Rig rig({TalkMode::open, true});
  rig.open_ms(1'000, loud, loud);
  CHECK(rig.open_ms(2'000) == 0);
}

TEST_CASE("with headphones both talk at once") {
  Rig rig({TalkMode::open, false});
  CHECK(rig.open_ms(1'000, loud, loud) == 1'000);
  CHECK_FALSE(rig.gate.is_held_back());
}
