// Randomness: the published numbers of the generators, and what their distributions promise.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "tools/replay/random.h"

using namespace earshot;
using namespace earshot::replay;

namespace {

struct Moments {
  double mean = 0;
  double variance = 0;
};

Moments moments_of(const std::function<double()>& draw, int count) {
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < count; ++i) {
    const double x = draw();
    sum += x;
    squares += x * x;
  }
  const double mean = sum / count;
  return {mean, squares / count - mean * mean};
}

}  // namespace

TEST_CASE("the generators give the numbers that their authors published") {
  // splitmix64, seeded with 1234567.
  CHECK(mix(1234567) == 6457827717110365317ull);
  CHECK(mix(1234567 + 0x9E3779B97F4A7C15) == 3203168211198807973ull);
  // The same numbers from every compiler and every build.
  Random random(42);
  CHECK(random.next() == 1546998764402558742ull);
  CHECK(random.next() == 6990951692964543102ull);
}

TEST_CASE("seeds of parts differ from each other, and from their neighbours'") {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (int participant = 0; participant < 20; ++participant) {
      for (int direction = 0; direction < 2; ++direction) {
        seen.insert(derive_seed(seed, participant, direction));
      }
    }
  }
  CHECK(seen.size() == 800);
}

TEST_CASE(
    "uniform numbers lie strictly between 0 and 1, and below a bound all come equally often") {
  Random random(3);
  double low = 1;
  double high = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double x = random.uniform();
    low = std::min(low, x);
    high = std::max(high, x);
  }
  CHECK(low > 0);
  CHECK(low < 0.001);
  CHECK(high < 1);
  CHECK(high > 0.999);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60'000; ++i) ++counts[random.below(6)];
  for (const int count : counts) CHECK(std::abs(count - 10'000) < 400);
  CHECK(random.below(1) == 0);
}

TEST_CASE("chance 0 is never and chance 1 is always") {
  Random random(4);
  for (int i = 0; i < 10'000; ++i) {
    CHECK_FALSE(random.chance(0));
    CHECK(random.chance(1));
  }
}

TEST_CASE("the normal quantile inverts the distribution") {
  for (const double p : {1e-12, 1e-6, 0.001, 0.02, 0.0243, 0.3, 0.5, 0.8, 0.9757, 0.99, 0.999999}) {
    const double back = 0.5 * std::erfc(-normal_quantile(p) / std::sqrt(2.0));
    CHECK(back == doctest::Approx(p).epsilon(1e-7));
  }
  CHECK(normal_quantile(0.975) == doctest::Approx(1.959963985).epsilon(1e-8));
}

TEST_CASE("distributions have the mean and the variance that theory gives") {
  struct Row {
    const char* name;
    double (*draw)(Random&);
    double mean;
    double variance;
    double tolerance;  // of the variance, relative
  };
  const Row rows[] = {
      {"uniform", [](Random& r) { return r.uniform(); }, 0.5, 1.0 / 12, 0.02},
      {"normal", [](Random& r) { return r.normal(); }, 0, 1, 0.02},
      {"exponential", [](Random& r) { return r.exponential(); }, 1, 1, 0.03},
      {"gamma 0.5", [](Random& r) { return r.gamma(0.5); }, 0.5, 0.5, 0.03},
      {"gamma 2", [](Random& r) { return r.gamma(2); }, 2, 2, 0.03},
      {"gamma 20", [](Random& r) { return r.gamma(20); }, 20, 20, 0.03},
      // Lomax: mean 1 / (a - 1), variance a / ((a - 1)^2 (a - 2)).
      {"pareto 5", [](Random& r) { return r.pareto(5); }, 0.25, 5.0 / 48, 0.1},
      {"pareto 8", [](Random& r) { return r.pareto(8); }, 1.0 / 7, 8.0 / 294, 0.05},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Random random(17);
    const Moments found = moments_of([&] { return row.draw(random); }, 200'000);
    const double deviation = std::sqrt(row.variance);
    CHECK(std::abs(found.mean - row.mean) < 0.01 * deviation);
    CHECK(found.variance == doctest::Approx(row.variance).epsilon(row.tolerance));
  }
}

TEST_CASE("a scaled duration is rounded, and what does not fit is a hundred years") {
  CHECK(scale(milliseconds(10), 0.5) == milliseconds(5));
  CHECK(scale({3}, 0.5) == Duration{2});
  CHECK(scale({-3}, 0.5) == Duration{-1});
  CHECK(scale(seconds(1), 1e300) == Duration{3'200'000'000'000'000'000});
  CHECK(scale(seconds(1), -1e300) == Duration{-3'200'000'000'000'000'000});
  CHECK(scale(seconds(1), std::nan("")) == Duration{3'200'000'000'000'000'000});
}
