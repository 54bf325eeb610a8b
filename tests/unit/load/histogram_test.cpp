// Durations by size: what is recorded comes back within 3 %, whatever its order of magnitude.
#include "tools/load/histogram.h"

#include <doctest/doctest.h>

#include <cmath>
#include <memory>

using namespace earshot;
using namespace earshot::load;

TEST_CASE("one duration of any size comes back") {
  for (std::int64_t ns = 0; ns < 60'000'000'000; ns = ns * 5 / 4 + 1) {
    const auto histogram = std::make_unique<Histogram>();
    histogram->record({ns});
    CAPTURE(ns);
    CHECK(histogram->count() == 1);
    CHECK(histogram->max() == Duration{ns});
    CHECK(histogram->quantile(0.5) == Duration{ns});
  }
}

TEST_CASE("quantiles are within 3 % above the truth") {
  Histogram histogram;
  for (std::int64_t i = 1; i <= 100'000; ++i) histogram.record(microseconds(i));
  for (const double fraction : {0.001, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    CAPTURE(fraction);
    const double truth = fraction * 100'000'000;
    const auto told = static_cast<double>(histogram.quantile(fraction).ns);
    CHECK(told >= truth * 0.9999);
    CHECK(told <= truth * 1.032);
  }
}

TEST_CASE("a few large ones show in the far quantiles only") {
  Histogram histogram;
  for (int i = 0; i < 990; ++i) histogram.record(milliseconds(1));
  for (int i = 0; i < 10; ++i) histogram.record(seconds(2));
  CHECK(histogram.quantile(0.99) < milliseconds(2));
  CHECK(histogram.quantile(0.991) == seconds(2));
}

TEST_CASE("merged ones count together, and nothing has no quantile") {
  Histogram a, b;
  CHECK(a.quantile(0.99) == Duration{});
  a.record(milliseconds(1));
  for (int i = 0; i < 3; ++i) b.record(milliseconds(10));
  a.merge(b);
  CHECK(a.count() == 4);
  CHECK(a.max() == milliseconds(10));
  CHECK(a.quantile(0.25) < milliseconds(2));
  CHECK(a.quantile(0.5) == milliseconds(10));
}

TEST_CASE("what does not fit is counted at the end") {
  Histogram histogram;
  histogram.record(seconds(1'000));
  histogram.record({-5});
  CHECK(histogram.count() == 2);
  CHECK(histogram.max() == seconds(1'000));
  CHECK(histogram.quantile(0.5) == Duration{});
}
