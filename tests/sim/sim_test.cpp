// The simulator itself: a seed is one course of events, and each invariant can fail.
#include <doctest/doctest.h>

#include <string>

#include "tests/sim/world.h"

using namespace earshot;
using namespace earshot::sim;

namespace {

// The invariant that fails first within the first seeds; nothing if none does.
std::string first_failure(Mutation mutation, std::uint64_t seeds) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    World world({seed, seconds(20), mutation});
    try {
      world.run();
    } catch (const Violation& violation) {
      return violation.invariant;
    }
  }
  return "";
}

std::uint64_t hash_of(std::uint64_t seed) {
  World world({seed, seconds(20), Mutation::none});
  world.run();
  return world.totals().hash;
}

}  // namespace

TEST_CASE("one seed is one course of events") {
  for (const std::uint64_t seed : {3, 5, 8}) {
    CAPTURE(seed);
    CHECK(hash_of(seed) == hash_of(seed));
  }
  CHECK(hash_of(3) != hash_of(5));
}

TEST_CASE("every invariant catches what breaks it") {
  for (std::size_t i = 1; i < mutations_count; ++i) {
    CAPTURE(mutation_names[i].name);
    CHECK(first_failure(static_cast<Mutation>(i), 60) == mutation_names[i].invariant);
  }
}

TEST_CASE("nothing is broken without a mutation") {
  CHECK(first_failure(Mutation::none, 10) == "");
}
