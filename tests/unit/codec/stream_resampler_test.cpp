#include "codec/stream_resampler.h"

#include <doctest/doctest.h>

#include <array>
#include <random>

#include "tests/support/tone.h"

using namespace earshot;
using codec::StreamResampler;

TEST_CASE("a tone stays the tone it was, whatever the rates and the pieces") {
  struct Row {
    int rate_in, rate_out;
    double hz;
  };
  constexpr std::array rows{Row{44'100, 48'000, 440},   Row{48'000, 44'100, 440},
                            Row{16'000, 48'000, 1'000}, Row{48'000, 16'000, 1'000},
                            Row{8'000, 48'000, 440},    Row{96'000, 48'000, 5'000}};
  std::minstd_rand random(7);
  for (const Row& row : rows) {
    CAPTURE(row.rate_in);
    CAPTURE(row.rate_out);
    const auto tone = test::tone(row.hz, static_cast<std::size_t>(row.rate_in), 0.5, row.rate_in);
    StreamResampler resampler(row.rate_in, row.rate_out);
    std::vector<std::int16_t> out;
    for (std::size_t at = 0; at < tone.size();) {
      const std::size_t size = std::min<std::size_t>(random() % 700, tone.size() - at);
      resampler.process(std::span(tone).subspan(at, size), out);
      at += size;
    }
    // A second, less the filter's delay.
    CHECK(static_cast<double>(out.size()) == doctest::Approx(row.rate_out).epsilon(0.01));
    const auto settled = std::span<const std::int16_t>(out).subspan(out.size() / 10);
    CHECK(test::part_at(settled, row.hz, row.rate_out) > 0.9999);
    CHECK(test::power(settled) == doctest::Approx(16'383.0 * 16'383 / 2).epsilon(0.01));
  }
}

TEST_CASE("what the lower rate cannot carry is gone, not folded back") {
  StreamResampler resampler(48'000, 16'000);
  std::vector<std::int16_t> out;
  resampler.process(test::tone(11'000, 48'000), out);
  CHECK(test::power(std::span<const std::int16_t>(out).subspan(1'000)) < 100);
}

TEST_CASE("over a long time not a sample is gained or lost") {
  StreamResampler resampler(44'100, 48'000);
  const std::vector<std::int16_t> second(44'100);
  std::vector<std::int16_t> out;
  std::size_t total = 0;
  for (int i = 0; i < 20; ++i) {
    out.clear();
    resampler.process(second, out);
    total += out.size();
  }
  CHECK(total <= 20 * 48'000);
  CHECK(total > 20 * 48'000 - 100);
}

TEST_CASE("equal rates pass through") {
  StreamResampler resampler(48'000, 48'000);
  const auto tone = test::tone(440, 1'000);
  std::vector<std::int16_t> out;
  resampler.process(tone, out);
  CHECK(out == tone);
}
