#include "tools/client/loudspeaker.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <numbers>
#include <thread>
#include <utility>

#include "tests/support/allocation_count.h"
#include "tests/support/tone.h"
#include "tools/client/spectrum.h"

using namespace earshot;
using namespace earshot::client;

namespace {

// A loudspeaker on a card with a clock of its own, fed with a tone.
struct Rig {
  explicit Rig(int rate = 48'000) : card_rate(rate), loudspeaker(rate) {}

  // 20 ms of our clock: one frame in, and what the card asks for in that time out.
  void step(bool writes = true) {
    if (writes) {
      for (auto& sample : frame) {
        sample = static_cast<std::int16_t>(9'000 * std::sin(phase));
        phase += 2 * std::numbers::pi * 440 / 48'000;
      }
      loudspeaker.write(frame);
    }
    pending += card_rate * 0.02 * (1 + ppm / 1e6);
    while (pending >= period) {
      std::vector<std::int16_t> block(static_cast<std::size_t>(period), 99);
      loudspeaker.play(block);
      played.insert(played.end(), block.begin(), block.end());
      pending -= period;
    }
  }
  void run(int steps) {
    for (int i = 0; i < steps; ++i) step();
  }
  std::span<const std::int16_t> last(std::size_t samples) const {
    return std::span(played).last(samples);
  }

  double card_rate;
  Loudspeaker loudspeaker;
  std::vector<std::int16_t> frame = std::vector<std::int16_t>(960);
  std::vector<std::int16_t> played;
  double pending = 0, phase = 0, ppm = 0;
  int period = 480;
};

}  // namespace

TEST_CASE("silence, until there is enough to go on without a gap; then what was written") {
  Rig rig;
  rig.step(false);
  for (const std::int16_t sample : rig.played) REQUIRE(sample == 0);
  CHECK(rig.loudspeaker.counters().starved == 0);
  rig.run(100);
  CHECK(goertzel_share(rig.last(48'000), 440) > 0.999);
  CHECK(rig.loudspeaker.counters().starved == 0);
  // Short: what is heard is some 20 to 40 ms old.
  CHECK(rig.loudspeaker.level() <= 1'920);
}

TEST_CASE("cards of any rate, with any periods") {
  for (const int rate : {16'000, 44'100, 48'000, 96'000}) {
    for (const int period_ms : {1, 5, 10, 20}) {
      CAPTURE(rate);
      CAPTURE(period_ms);
      Rig rig(rate);
      rig.period = rate * period_ms / 1'000;
      rig.run(150);
      CHECK(test::part_at(rig.last(static_cast<std::size_t>(rate)), 440.0, rate) > 0.999);
      CHECK(rig.loudspeaker.counters().starved <= 1);
    }
  }
}

TEST_CASE("a card whose clock is wrong is followed for minutes, with single samples") {
  for (const double ppm : {300.0, -300.0}) {
    CAPTURE(ppm);
    Rig rig;
    rig.ppm = ppm;
    std::size_t level_max = 0;
    for (int i = 0; i < 15'000; ++i) {
      rig.step();
      rig.played.clear();
      level_max = std::max(level_max, rig.loudspeaker.level());
    }
    const auto counters = rig.loudspeaker.counters();
    CHECK(counters.starved <= 1);
    CHECK(counters.overflowed == 0);
    CHECK(counters.frames_skipped == 0);
    CHECK(level_max <= 2'880);
    const auto corrected = static_cast<double>(ppm > 0 ? counters.put_in : counters.taken_out);
    CHECK(corrected > 3'000);
    CHECK(corrected < 5'500);
  }
}

TEST_CASE("a card that stood still gets back to a short delay") {
  Rig rig;
  rig.run(50);
  const double rate = std::exchange(rig.card_rate, 0);
  rig.run(15);
  rig.card_rate = rate;
  CHECK(rig.loudspeaker.level() > 12'000);
  rig.run(150);
  CHECK(rig.loudspeaker.level() < 2'400);
  CHECK(rig.loudspeaker.counters().frames_skipped >= 12);
  // For longer than there is room for.
  rig.card_rate = 0;
  rig.run(100);
  CHECK(rig.loudspeaker.counters().overflowed > 0);
}

TEST_CASE("who is not fed plays silence, counts it, and begins anew") {
  Rig rig;
  rig.run(50);
  for (int i = 0; i < 50; ++i) rig.step(false);
  CHECK(rig.loudspeaker.counters().starved == 1);
  for (const std::int16_t sample : rig.last(9'600)) REQUIRE(sample == 0);
  rig.run(100);
  CHECK(rig.loudspeaker.counters().starved == 1);
  CHECK(goertzel_share(rig.last(48'000), 440) > 0.999);
}

TEST_CASE("muted at once, without a click, and back again") {
  Rig rig;
  rig.run(50);
  rig.loudspeaker.mute(true);
  rig.run(1);
  rig.played.clear();
  rig.run(20);
  for (const std::int16_t sample : rig.played) REQUIRE(sample == 0);
  rig.loudspeaker.mute(false);
  rig.run(50);
  CHECK(goertzel_share(rig.last(24'000), 440) > 0.999);
  int step_max = 0;
  for (std::size_t i = 1; i < rig.played.size(); ++i) {
    step_max = std::max(step_max, std::abs(rig.played[i] - rig.played[i - 1]));
  }
  // The tone itself has steps of 519.
  CHECK(step_max < 560);
}

TEST_CASE("two threads, and the sound card's one allocates nothing") {
  Loudspeaker loudspeaker(48'000);
  const std::vector<std::int16_t> frame(960, 1'000);
  std::vector<std::int16_t> block(441);
  std::atomic<bool> is_done{false};
  test::begin_counting_allocations();
  std::thread card([&] {
    while (!is_done) {
      loudspeaker.play(block);
      std::this_thread::yield();
    }
  });
  for (int i = 0; i < 2'000; ++i) {
    loudspeaker.write(frame);
    loudspeaker.mute(i % 10 == 0);
  }
  is_done = true;
  card.join();
  CHECK(test::end_counting_allocations() == 0);
  CHECK(loudspeaker.counters().overflowed + loudspeaker.counters().starved > 0);
}
