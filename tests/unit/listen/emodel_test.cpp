#include "tools/listen/emodel.h"

#include <doctest/doctest.h>

using namespace earshot;
using namespace earshot::listen;

TEST_CASE("with all values at their defaults R is 93.2 and MOS 4.41, as G.107 s7.7 says") {
  const Rating rating = rate_call({}, {}, 0, 1);
  CHECK(rating.r == doctest::Approx(93.2062).epsilon(0.00001));
  CHECK(rating.mos == doctest::Approx(4.41).epsilon(0.001));
  CHECK(rating.ie_eff == 0);
}

TEST_CASE("MOS by Annex B, Table B.1") {
  struct Row {
    double r;
    double mos;
  };
  // The limits of user satisfaction.
  const Row rows[] = {{90, 4.34}, {80, 4.03}, {70, 3.60}, {60, 3.10}, {50, 2.58}};
  for (const Row& row : rows) {
    CAPTURE(row.r);
    CHECK(mos_of_r(row.r) == doctest::Approx(row.mos).epsilon(0.0015));
  }
  CHECK(mos_of_r(0) == 1);
  CHECK(mos_of_r(-30) == 1);
  CHECK(mos_of_r(3) == 1);
  CHECK(mos_of_r(100) == 4.5);
  CHECK(mos_of_r(120) == 4.5);
}

TEST_CASE("what delay costs: Idte + Idle + Idd") {
  struct Row {
    int ms;
    double id;
  };
  // Idte, Idle and Idd of s7.4, worked out apart from this code.
  const Row rows[] = {{0, 0 + 0.1490 + 0},
                      {50, 1.0229 + 0.5761 + 0},
                      {100, 1.9638 + 0.7277 + 0},
                      {150, 2.8118 + 0.8407 + 0.1635},
                      {200, 3.5708 + 0.9353 + 3.0444},
                      {300, 4.8339 + 1.0943 + 14.7607},
                      {400, 5.8082 + 1.2301 + 24.0701}};
  for (const Row& row : rows) {
    CAPTURE(row.ms);
    CHECK(rate_call({}, milliseconds(row.ms), 0, 1).id == doctest::Approx(row.id).epsilon(0.0002));
  }
}

TEST_CASE("what loss costs: G.107 s7.5, by hand") {
  struct Row {
    double loss;
    double burst_ratio;
    double bpl;
    double ie_eff;
  };
  const Row rows[] = {
      {0.05, 1, 20, 19},  // 95 * 5 / 25
      {0.05, 2, 20, 95 * 5 / 22.5},
      {0.05, 0.5, 20, 19},       // more even than chance is chance
      {0.01, 1, 4.3, 95 / 5.3},  // G.711 without concealment
      {0.20, 1, 20, 47.5},
      {1, 1, 20, 95 * 100 / 120.0},
      {2, 1, 20, 95 * 100 / 120.0},
      {-1, 1, 20, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.loss);
    EModelOptions options;
    options.bpl = row.bpl;
    CHECK(rate_call(options, {}, row.loss, row.burst_ratio).ie_eff == doctest::Approx(row.ie_eff));
  }
  EModelOptions options;
  options.ie = 11;
  options.bpl = 19;
  options.advantage = 5;
  // G.729A at 2 %: 11 + 84 * 2 / 21 = 19.
  CHECK(rate_call(options, {}, 0.02, 1).ie_eff == doctest::Approx(19));
  CHECK(rate_call(options, {}, 0.02, 1).r == doctest::Approx(93.2062 - 19 + 5).epsilon(0.0001));
}
