#include "tools/client/level_control.h"

#include <doctest/doctest.h>

#include "tests/support/tone.h"
#include "tools/client/spectrum.h"

using namespace earshot;
using namespace earshot::client;

namespace {

// With a grain of 140 it lets be what is between 260 and 980, and aims at 500.
constexpr std::size_t grain = 140;

// What a store does that gains `drift` samples in each 20 ms, from `level` on.
struct Store {
  double level = 500;
  double drift = 0;
  LevelControl control{0};
  std::int64_t added = 0, taken = 0, frames = 0;

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      const std::int64_t change =
          control.step(static_cast<std::size_t>(std::max(level, 0.0)), grain);
      if (change > 0) added += change;
      if (change == -1) ++taken;
      if (change <= -960) frames += -change / 960;
      level += drift + static_cast<double>(change);
    }
  }
};

}  // namespace

TEST_CASE("a store within its bounds is left alone, however it moves") {
  LevelControl control(0);
  for (int i = 0; i < 1'000; ++i) {
    CHECK(control.step(i % 3 == 0 ? 300 : 5'000, grain) == 0);
  }
}

TEST_CASE("drift of a sound card is made up for by single samples, both ways, for hours") {
  // 200 ppm: 0.192 samples in 960.
  for (const double drift : {0.192, -0.192, 0.9, -0.9}) {
    CAPTURE(drift);
    Store store;
    store.drift = drift;
    for (int minute = 0; minute < 120; ++minute) {
      store.run(3'000);
      REQUIRE(store.level > 0);
      REQUIRE(store.level < 1'200);
    }
    CHECK(store.frames == 0);
    // No more than the drift asks for.
    CHECK((drift > 0 ? store.added : store.taken) == 0);
    const auto corrected = static_cast<double>(drift > 0 ? store.taken : store.added);
    CHECK(corrected == doctest::Approx(std::abs(drift) * 360'000).epsilon(0.01));
  }
}

TEST_CASE("the grain of a card is the largest block of the last second") {
  GrainMeter meter;
  CHECK(meter.step() == 0);
  meter.add(480);
  meter.add(120);
  CHECK(meter.step() == 480);
  // One block after a stall is forgotten again.
  meter.add(9'000);
  CHECK(meter.step() == 9'000);
  std::size_t last = 0;
  for (int i = 0; i < 100; ++i) {
    meter.add(240);
    last = meter.step();
  }
  CHECK(last == 240);
  // A card that stands still keeps what is known of it.
  for (int i = 0; i < 200; ++i) last = meter.step();
  CHECK(last == 240);
}

TEST_CASE("after a stall whole frames go, within a second, and only as many as are too many") {
  Store store;
  store.level = 500 + 960 * 10;
  store.run(50);
  CHECK(store.frames == 10);
  CHECK(store.level < 1'000);
  store.run(200);
  CHECK(store.frames == 10);
  CHECK(store.added == 0);
}

TEST_CASE("what was seen before the store was emptied does not count") {
  LevelControl control(0);
  for (int i = 0; i < 49; ++i) CHECK(control.step(20'000, grain) == 0);
  control.restart();
  for (int i = 0; i < 200; ++i) CHECK(control.step(500, grain) == 0);
}

TEST_CASE("a sample more or less is put where nobody hears it") {
  auto samples = test::tone(440, 960);
  const auto original = samples;
  SUBCASE("more") {
    put_in_sample(samples);
    CHECK(samples.size() == 961);
  }
  SUBCASE("less") {
    take_out_sample(samples);
    CHECK(samples.size() == 959);
  }
  CHECK(samples.front() == original.front());
  CHECK(samples.back() == original.back());
  int step_max = 0;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    step_max = std::max(step_max, std::abs(samples[i] - samples[i - 1]));
  }
  int original_max = 0;
  for (std::size_t i = 1; i < original.size(); ++i) {
    original_max = std::max(original_max, std::abs(original[i] - original[i - 1]));
  }
  CHECK(step_max <= original_max);
  CHECK(goertzel_share(samples, 440) > 0.99);
}
