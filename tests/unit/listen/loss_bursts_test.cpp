#include "tools/listen/loss_bursts.h"

#include <doctest/doctest.h>

#include <string_view>

using namespace earshot;
using namespace earshot::listen;

namespace {

// "." heard, "x" lost, "d" discarded; a digit n: 10 n packets heard.
BurstMetrics metrics_of(std::string_view fates) {
  LossBursts bursts;
  for (const char c : fates) {
    if (c == 'x') bursts.add(LossBursts::Fate::lost);
    if (c == 'd') bursts.add(LossBursts::Fate::discarded);
    if (c == '.') bursts.add(LossBursts::Fate::heard);
    for (int i = 0; c >= '0' && c <= '9' && i < (c - '0') * 10; ++i) {
      bursts.add(LossBursts::Fate::heard);
    }
  }
  return bursts.metrics(milliseconds(20));
}

}  // namespace

TEST_CASE("no packets, and none missing") {
  CHECK(metrics_of("").loss_rate == 0);
  CHECK(metrics_of("").burst_ratio == 1);
  const auto metrics = metrics_of("5");
  CHECK(metrics.loss_rate == 0);
  CHECK(metrics.bursts == 0);
  CHECK(metrics.gap_duration == milliseconds(1'000));
  CHECK(metrics.burst_ratio == 1);
}

TEST_CASE("a single missing packet is part of a gap") {
  const auto metrics = metrics_of("5x4.........");
  CHECK(metrics.loss_rate == doctest::Approx(0.01));
  CHECK(metrics.bursts == 0);
  CHECK(metrics.burst_density == 0);
  CHECK(metrics.gap_density == doctest::Approx(0.01));
  CHECK(metrics.burst_duration == Duration{});
}

TEST_CASE("fifteen heard packets do not end a burst, sixteen do") {
  const auto one = metrics_of("2x1.....x2");
  CHECK(one.bursts == 1);
  CHECK(one.burst_density == doctest::Approx(2.0 / 17));
  CHECK(one.burst_duration == milliseconds(17 * 20));
  CHECK(one.gap_density == 0);
  CHECK(one.gap_duration == milliseconds(40 * 20 / 2));
  const auto none = metrics_of("2x1......x2");
  CHECK(none.bursts == 0);
  CHECK(none.gap_density == doctest::Approx(2.0 / 58));
}

TEST_CASE("lost and discarded packets make one burst, and have a rate each") {
  // 40 heard, a burst of 4 in 6, 30 heard, a single one, 20 heard, a burst of 2.
  const auto metrics = metrics_of("4xd.d.x3x2dd");
  const double packets = 40 + 6 + 30 + 1 + 20 + 2;
  CHECK(metrics.loss_rate == doctest::Approx(3 / packets));
  CHECK(metrics.discard_rate == doctest::Approx(4 / packets));
  CHECK(metrics.bursts == 2);
  CHECK(metrics.burst_density == doctest::Approx(6.0 / 8));
  CHECK(metrics.burst_duration == milliseconds(4 * 20));
  CHECK(metrics.gap_density == doctest::Approx(1 / (packets - 8)));
  CHECK(metrics.gap_duration.ms() == 91 * 20 / 3);
}

TEST_CASE("the burst ratio compares runs with those of chance") {
  // One in two, alternating: runs of 1 where chance would have runs of 2.
  CHECK(metrics_of("x.x.x.x.").burst_ratio == doctest::Approx(0.5));
  // Ten in a row of 100: chance at 10 % would have 1 / 0.9.
  CHECK(metrics_of("5xxxxxxxxxx4").burst_ratio == doctest::Approx(9.0));
}
