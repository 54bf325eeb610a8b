#include "tools/listen/limiter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/support/tone.h"

using namespace earshot;
using listen::Limiter;

namespace {

std::vector<std::int32_t> sine(double hz, double amplitude, std::size_t samples, std::size_t from) {
  std::vector<std::int32_t> out(samples);
  for (std::size_t i = 0; i < samples; ++i) {
    const double phase = 2 * std::numbers::pi * hz * static_cast<double>(from + i) / 48'000;
    out[i] = static_cast<std::int32_t>(amplitude * std::sin(phase));
  }
  return out;
}

// `frames` frames of 20 ms, one after the other.
std::vector<std::int16_t> limited(Limiter& limiter, double hz, double amplitude, int frames) {
  std::vector<std::int16_t> all;
  for (int n = 0; n < frames; ++n) {
    const auto sum = sine(hz, amplitude, 960, static_cast<std::size_t>(n) * 960);
    std::vector<std::int16_t> out(960);
    limiter.process(sum, out);
    all.insert(all.end(), out.begin(), out.end());
  }
  return all;
}

}  // namespace

TEST_CASE("what fits comes out bit for bit, up to the last step of the scale") {
  Limiter limiter;
  std::vector<std::int32_t> sum(960);
  for (std::size_t i = 0; i < sum.size(); ++i) {
    sum[i] = i % 2 == 0 ? 32'767 - static_cast<int>(i) : -32'768 + static_cast<int>(i);
  }
  std::vector<std::int16_t> out(960);
  limiter.process(sum, out);
  CHECK(std::equal(sum.begin(), sum.end(), out.begin()));
}

TEST_CASE("what does not fit keeps its shape") {
  Limiter limiter;
  const auto out = limited(limiter, 440, 3 * 32'767.0, 50);
  const auto settled = std::span(out).subspan(9'600);
  const auto [low, high] = std::minmax_element(settled.begin(), settled.end());
  CHECK(*high >= 32'000);
  CHECK(*low <= -32'000);
  CHECK(test::part_at(settled, 440.0) > 0.999);
  // Cut off at full scale, as it was before, the same tone has a tenth of its power elsewhere.
  std::vector<std::int16_t> clipped;
  for (const std::int32_t sample : sine(440, 3 * 32'767.0, 38'400, 0)) {
    clipped.push_back(static_cast<std::int16_t>(std::clamp(sample, -32'768, 32'767)));
  }
  CHECK(test::part_at(std::span<const std::int16_t>(clipped), 440.0) < 0.95);
}

TEST_CASE("a peak turns the rest down for a moment only, without a step") {
  Limiter limiter;
  limited(limiter, 440, 65'000, 10);
  const auto after = limited(limiter, 440, 10'000, 50);
  const auto peak = [&after](std::size_t frame) {
    const auto part = std::span(after).subspan(frame * 960, 960);
    return *std::max_element(part.begin(), part.end());
  };
  CHECK(peak(0) < 7'000);
  CHECK(peak(5) > peak(0));
  CHECK(peak(20) == doctest::Approx(10'000).epsilon(0.001));
  int step_max = 0;
  for (std::size_t i = 1; i < after.size(); ++i) {
    step_max = std::max(step_max, std::abs(after[i] - after[i - 1]));
  }
  // The tone itself has steps of 576.
  CHECK(step_max < 600);
}

TEST_CASE("frames of any length, also none") {
  Limiter limiter;
  std::vector<std::int16_t> out;
  limiter.process({}, out);
  const std::vector<std::int32_t> sum(7, 100'000);
  out.resize(7);
  limiter.process(sum, out);
  CHECK(out.back() == 32'767);
}
