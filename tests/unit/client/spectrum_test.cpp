#include "tools/client/spectrum.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "codec/opus.h"

using namespace earshot;
using namespace earshot::client;

namespace {

std::vector<std::int16_t> tone(double hz, std::size_t size, double amplitude = 10'000) {
  std::vector<std::int16_t> samples(size);
  for (std::size_t i = 0; i < size; ++i) {
    const double phase = 2 * std::numbers::pi * hz * static_cast<double>(i) / codec::sample_rate;
    samples[i] = static_cast<std::int16_t>(std::lround(amplitude * std::sin(phase)));
  }
  return samples;
}

}  // namespace

TEST_CASE("levels are told against a full-scale square wave") {
  CHECK(level_dbfs({}) == level_silent);
  CHECK(level_dbfs(std::vector<std::int16_t>(960, 0)) == level_silent);
  CHECK(level_dbfs(std::vector<std::int16_t>(960, 32'767)) == doctest::Approx(0).epsilon(0.001));
  CHECK(level_dbfs(tone(1'000, 4'800, 32'767)) == doctest::Approx(-3.01).epsilon(0.01));
  CHECK(level_dbfs(tone(1'000, 4'800, 3'276.7)) == doctest::Approx(-23.01).epsilon(0.01));
}

TEST_CASE("Goertzel's share is one at the tone and none elsewhere") {
  CHECK(goertzel_share({}, 440) == 0);
  CHECK(goertzel_share(std::vector<std::int16_t>(960, 0), 440) == 0);
  const auto samples = tone(440, 48'000);
  CHECK(goertzel_share(samples, 440) > 0.99);
  CHECK(goertzel_share(samples, 880) < 0.01);
  CHECK(goertzel_share(samples, 450) < 0.01);
  auto two = samples;
  const auto other = tone(1'000, 48'000);
  for (std::size_t i = 0; i < two.size(); ++i) {
    two[i] = static_cast<std::int16_t>(two[i] + other[i]);
  }
  CHECK(goertzel_share(two, 440) == doctest::Approx(0.5).epsilon(0.02));
}

TEST_CASE("the strongest frequency of one frame is right to a hertz or so") {
  CHECK(strongest_frequency({}) == 0);
  CHECK(strongest_frequency(std::vector<std::int16_t>(960, 0)) == 0);
  CHECK(strongest_frequency(std::vector<std::int16_t>(1, 30'000)) == 0);
  for (const double hz : {200.0, 440.0, 997.0, 3'000.0, 8'000.0}) {
    CAPTURE(hz);
    CHECK(std::abs(strongest_frequency(tone(hz, 960)) - hz) < 2);
    CHECK(std::abs(strongest_frequency(tone(hz, 4'096)) - hz) < 1);
  }
}

TEST_CASE("the meter finds the tone that most of the audible frames agree on") {
  ToneMeter meter(true);
  CHECK(meter.dominant().hz == 0);
  CHECK(meter.level() == level_silent);
  CHECK(meter.recent_level() == level_silent);
  for (int i = 0; i < 80; ++i) meter.add(tone(440, 960));
  for (int i = 0; i < 20; ++i) meter.add(tone(1'000, 960));
  for (int i = 0; i < 100; ++i) meter.add(std::vector<std::int16_t>(960, 0));
  CHECK(meter.audible_frames() == 100);
  CHECK(meter.dominant().hz == doctest::Approx(440).epsilon(0.005));
  CHECK(meter.dominant().share == doctest::Approx(0.8));
  CHECK(meter.level() == doctest::Approx(-13.3).epsilon(0.01));
  CHECK(meter.recent_level() == level_silent);
}

TEST_CASE("without tones the meter still counts and levels") {
  ToneMeter meter(false);
  meter.add(tone(440, 960));
  CHECK(meter.audible_frames() == 1);
  CHECK(meter.dominant().share == 0);
}
