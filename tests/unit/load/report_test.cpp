// What a load run tells in the end, and what its exit status follows from.
#include "tools/load/report.h"

#include <doctest/doctest.h>

using namespace earshot;
using namespace earshot::load;

TEST_CASE("a bound that is not stated cannot be broken") {
  Report report("x");
  report.add_bound("free", 1e9, std::nullopt, "ms");
  CHECK(report.is_ok());
  CHECK(report.json()["bounds"].empty());
}

TEST_CASE("a bound may be reached, not exceeded") {
  Report report("x");
  report.add_bound("a", 5, 5.0, "ms");
  CHECK(report.is_ok());
  report.add_bound("b", 5.1, 5.0, "ms");
  CHECK_FALSE(report.is_ok());
  const auto json = report.json();
  CHECK(json["ok"] == false);
  CHECK(json["bounds"][0]["kept"] == true);
  CHECK(json["bounds"][1]["kept"] == false);
}

TEST_CASE("a failure is one, whatever the bounds say") {
  Report report("x");
  report.add_bound("a", 1, 5.0, "ms");
  report.fail("nobody came");
  CHECK_FALSE(report.is_ok());
  CHECK(report.json()["failures"][0] == "nobody came");
}

TEST_CASE("loss is what did not come of what was to come") {
  PhaseResults results{};
  CHECK(loss(results) == 0);
  results.packets_expected = 200;
  results.packets_received = 150;
  CHECK(loss(results) == doctest::Approx(0.25));
}

TEST_CASE("shares of a core are CPU time over the time of the phase") {
  Phase phase;
  phase.begin.at = {seconds(10).ns};
  phase.end.at = {seconds(14).ns};
  phase.begin.workers_ns = 500;
  phase.end.workers_ns = 500 + seconds(1).ns;
  CHECK(workers_share(phase) == doctest::Approx(0.25));
  CHECK(controller_share(phase) == 0);
  CHECK(controller_share(Phase{}) == 0);
}

TEST_CASE("medians of odd and even counts") {
  CHECK(median({}) == 0);
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
}
