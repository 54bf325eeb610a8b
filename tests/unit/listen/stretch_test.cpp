#include "tools/listen/stretch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>

using namespace earshot::listen;

namespace {

std::vector<std::int16_t> tone(double hz, std::size_t samples) {
  std::vector<std::int16_t> pcm(samples);
  for (std::size_t i = 0; i < samples; ++i) {
    pcm[i] = static_cast<std::int16_t>(
        10'000 * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / 48'000));
  }
  return pcm;
}

// The largest step from one sample to the next.
int roughness(const std::vector<std::int16_t>& pcm) {
  int step = 0;
  for (std::size_t i = 1; i < pcm.size(); ++i) step = std::max(step, std::abs(pcm[i] - pcm[i - 1]));
  return step;
}

}  // namespace

TEST_CASE("the length is exactly what was asked for") {
  for (const std::size_t length : {240u, 480u, 960u, 2'880u}) {
    for (const int change : {-480, -240, -120, -1, 0, 1, 120, 240, 480}) {
      CAPTURE(length);
      CAPTURE(change);
      std::vector<std::int16_t> out{1, 2, 3};
      stretch(tone(150, length), change, out);
      const auto wanted = static_cast<std::ptrdiff_t>(length) + change;
      CHECK(std::ssize(out) == 3 + std::max<std::ptrdiff_t>(wanted, 0));
      CHECK(out[2] == 3);
    }
  }
}

TEST_CASE("a voice whose period fits is spliced without being heard") {
  for (const double hz : {100.0, 200.0, 400.0, 1'000.0}) {
    for (const int change : {-480, 480}) {
      CAPTURE(hz);
      CAPTURE(change);
      const auto pcm = tone(hz, 960);
      std::vector<std::int16_t> out;
      stretch(pcm, change, out);
      CHECK(roughness(out) <= roughness(pcm) + 2);
      const auto ideal = tone(hz, out.size());
      for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(std::abs(out[i] - ideal[i]) < 20);
    }
  }
}

TEST_CASE("the ends stay what they were, so that frames still fit to each other") {
  for (const int change : {-480, 480}) {
    const auto pcm = tone(333, 960);
    std::vector<std::int16_t> out;
    stretch(pcm, change, out);
    CHECK(out.front() == pcm.front());
    CHECK(out.back() == pcm.back());
  }
}

TEST_CASE("the splice is made where it is quiet") {
  // Loud noise, but for 10 ms of silence in the middle of what may be left out.
  std::vector<std::int16_t> pcm(2'880);
  std::uint32_t state = 1;
  for (auto& sample : pcm) {
    state = state * 1'664'525 + 1'013'904'223;
    sample = static_cast<std::int16_t>(state >> 18);
  }
  std::fill(pcm.begin() + 1'000, pcm.begin() + 1'900, std::int16_t{0});
  std::vector<std::int16_t> out;
  stretch(pcm, -480, out);
  CHECK(std::equal(pcm.begin(), pcm.begin() + 1'000, out.begin()));
  CHECK(std::equal(pcm.begin() + 1'900, pcm.end(), out.end() - 980));
}
