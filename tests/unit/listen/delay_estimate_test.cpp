#include "tools/listen/delay_estimate.h"

#include <doctest/doctest.h>

using namespace earshot::listen;

namespace {

constexpr std::int64_t ms = 48;

// Half seconds of a packet every 20 ms, one of which is so late.
void learn(DelayEstimate& estimate, std::int64_t& now, int half_seconds, std::int64_t late) {
  for (int i = 0; i < half_seconds * 25; ++i) {
    now += 20 * ms;
    estimate.add(now, 1'000'000 + (i % 25 == 7 ? late : 0));
  }
}

}  // namespace

TEST_CASE("without jitter 20 ms are enough, and the base is the fastest packet") {
  DelayEstimate estimate(0.95, 0.983);
  std::int64_t now = 0;
  learn(estimate, now, 10, 0);
  CHECK(estimate.target() == 20 * ms);
  CHECK(estimate.transit_min() == 1'000'000);
  CHECK(estimate.delay_max() == 0);
}

TEST_CASE("the target is the upper end of the bucket that the quantile falls into") {
  for (const std::int64_t late : {0, 19, 20, 45, 119, 700}) {
    CAPTURE(late);
    DelayEstimate estimate(0.95, 0.983);
    std::int64_t now = 0;
    learn(estimate, now, 20, late * ms);
    CHECK(estimate.target() == (late / 20 + 1) * 20 * ms);
    CHECK(estimate.delay_max() == late * ms);
  }
}

TEST_CASE("before the first half second is over the worst so far is believed") {
  DelayEstimate estimate(0.95, 0.983);
  estimate.add(0, 100);
  estimate.add(960, 100 + 50 * ms);
  CHECK(estimate.target() == 60 * ms);
}

TEST_CASE("a peak counts by how often it comes back") {
  // One of so many half seconds has a peak of 300 ms; 0.95 hears of it if it is one of less
  // than 20.
  for (const int period : {5, 15, 40}) {
    CAPTURE(period);
    DelayEstimate estimate(0.95, 0.983);
    std::int64_t now = 0;
    for (int i = 0; i < 20; ++i) {
      learn(estimate, now, period - 1, 0);
      learn(estimate, now, 1, 300 * ms);
    }
    learn(estimate, now, 1, 0);
    CHECK((estimate.target() == 320 * ms) == (period < 20));
  }
}

TEST_CASE("the base forgets within two seconds in which packets came") {
  DelayEstimate estimate(0.95, 0.983);
  std::int64_t now = 0;
  learn(estimate, now, 10, 0);
  // 100 ms longer from now on.
  for (int i = 0; i < 74; ++i) estimate.add(now += 20 * ms, 1'000'000 + 100 * ms);
  CHECK(estimate.transit_min() == 1'000'000);
  for (int i = 0; i < 27; ++i) estimate.add(now += 20 * ms, 1'000'000 + 100 * ms);
  CHECK(estimate.transit_min() == 1'000'000 + 100 * ms);
  // A pause of an hour forgets nothing.
  now += 3'600'000 * ms;
  estimate.add(now, 1'000'000 + 150 * ms);
  CHECK(estimate.transit_min() == 1'000'000 + 100 * ms);
}
