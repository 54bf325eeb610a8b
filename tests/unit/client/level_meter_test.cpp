#include "tools/client/level_meter.h"

#include <doctest/doctest.h>

#include "tests/support/tone.h"

using namespace earshot;
using client::LevelMeter;

TEST_CASE("rises at once, falls slowly, and holds the peak") {
  LevelMeter meter;
  CHECK(meter.level() == -100);
  CHECK(meter.peak() == -100);
  const auto loud = test::tone(1'000, 960, 1.0);
  meter.add(loud);
  CHECK(meter.level() == doctest::Approx(-3.01).epsilon(0.01));
  CHECK(meter.peak() == meter.level());
  const double peak = meter.peak();
  for (int i = 0; i < 25; ++i) meter.add({});
  CHECK(meter.level() == doctest::Approx(peak - 20));
  CHECK(meter.peak() == peak);
  for (int i = 0; i < 75; ++i) meter.add({});
  CHECK(meter.level() == doctest::Approx(peak - 80));
  CHECK(meter.peak() < peak - 15);
  CHECK(meter.peak() > peak - 25);
  for (int i = 0; i < 200; ++i) meter.add({});
  CHECK(meter.level() == -100);
  CHECK(meter.peak() == -100);
}
