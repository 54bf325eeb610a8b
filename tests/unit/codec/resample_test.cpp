#include "codec/resample.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "tests/support/tone.h"

using namespace earshot;
using namespace earshot::codec;

namespace {

std::vector<float> tone(double hertz, int rate, std::size_t samples) {
  std::vector<float> out(samples);
  for (std::size_t i = 0; i < samples; ++i) {
    out[i] = static_cast<float>(
        0.5 * std::sin(2 * std::numbers::pi * hertz * static_cast<double>(i) / rate));
  }
  return out;
}

// Without the edges, where the filter reaches over the end.
std::span<const float> middle(const std::vector<float>& samples) {
  return std::span(samples).subspan(samples.size() / 4, samples.size() / 2);
}

double decibels(double ratio) {
  return 10 * std::log10(ratio);
}

}  // namespace

TEST_CASE("a tone below both halves passes unchanged, between all common rates") {
  constexpr int rates[] = {8'000, 11'025, 16'000, 22'050, 32'000, 44'100, 48'000, 96'000};
  for (const int in : rates) {
    for (const int out : rates) {
      CAPTURE(in);
      CAPTURE(out);
      const auto samples = tone(1'000, in, static_cast<std::size_t>(in) / 8);
      const auto converted = resample(samples, in, out);
      CHECK(converted.size() ==
            samples.size() * static_cast<std::size_t>(out) / static_cast<std::size_t>(in));
      CHECK(test::part_at(middle(converted), 1'000, out) > 0.9999);
      CHECK(std::abs(decibels(test::power(middle(converted)) / test::power(middle(samples)))) <
            0.1);
    }
  }
}

TEST_CASE("what the lower rate cannot hold is removed, not folded back") {
  struct Row {
    double hertz;
    int in, out;
  };
  for (const Row& row : {Row{6'000, 48'000, 8'000}, Row{20'000, 96'000, 16'000},
                         Row{23'000, 48'000, 44'100}, Row{13'000, 48'000, 22'050}}) {
    CAPTURE(row.hertz);
    const auto samples = tone(row.hertz, row.in, static_cast<std::size_t>(row.in) / 4);
    const auto converted = resample(samples, row.in, row.out);
    CHECK(decibels(test::power(middle(converted)) / test::power(middle(samples))) < -50);
  }
}

TEST_CASE("a constant stays that constant") {
  for (const int out : {8'000, 44'100, 96'000}) {
    const std::vector<float> samples(4'800, 0.25F);
    const auto converted = resample(samples, 48'000, out);
    for (const float sample : middle(converted)) REQUIRE(std::abs(sample - 0.25F) < 0.001F);
  }
}

TEST_CASE("nothing, little, and rates far apart") {
  CHECK(resample({}, 8'000, 48'000).empty());
  CHECK(resample({}, 48'000, 48'000).empty());
  const std::vector<float> one{0.5F};
  CHECK(resample(one, 48'000, 48'000) == one);
  CHECK(resample(one, 8'000, 48'000).size() == 6);
  CHECK(resample(one, 48'000, 8'000).empty());
  CHECK(resample(std::vector<float>(10), 1'000, 384'000).size() == 3'840);
  CHECK(resample(std::vector<float>(3'840), 384'000, 1'000).size() == 10);
}

TEST_CASE("16 bits: clamped, rounded, and never more than there is room for") {
  struct Row {
    float sample;
    int expected;
  };
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Row rows[] = {
      {0.0F, 0},
      {-0.0F, 0},
      {1.0F, 32'767},
      {-1.0F, -32'768},
      {2.0F, 32'767},
      {-2.0F, -32'768},
      {infinity, 0},
      {-infinity, 0},
      {std::numeric_limits<float>::quiet_NaN(), 0},
      {std::numeric_limits<float>::max(), 32'767},
      {std::numeric_limits<float>::denorm_min(), 0},
      {0.5F, 16'384},
      {-0.5F, -16'384},
      {1.0F / 32'768, 1},
      {-1.0F / 32'768, -1},
      {0.4F / 32'768, 0},
      {0.6F / 32'768, 1},
      {32'767.0F / 32'768, 32'767},
  };
  for (const Row& row : rows) {
    CAPTURE(row.sample);
    CHECK(to_pcm16(std::vector<float>{row.sample})[0] == row.expected);
  }
  // Every 16-bit sample survives the way to float and back.
  for (int value = -32'768; value <= 32'767; ++value) {
    const std::vector<float> sample{static_cast<float>(value) / 32'768.0F};
    REQUIRE(to_pcm16(sample)[0] == value);
  }
}
