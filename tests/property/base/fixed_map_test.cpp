#include "relay/base/fixed_map.h"

#include <doctest/doctest.h>

#include <random>
#include <unordered_map>

using namespace earshot;

namespace {

// A poor hash on purpose: long runs and wraps exercise the backward shift.
struct Clustered {
  std::uint64_t operator()(std::uint32_t key, std::uint64_t seed) const { return key / 4 + seed; }
};

}  // namespace

TEST_CASE("behaves as std::unordered_map within its capacity") {
  const std::uint64_t seed = 41;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  FixedMap<std::uint32_t, std::uint32_t, Clustered> map(100, 250);
  std::unordered_map<std::uint32_t, std::uint32_t> model;
  for (int step = 0; step < 200'000; ++step) {
    const auto key = static_cast<std::uint32_t>(random() % 300);
    if (random() % 2 == 0) {
      const bool fits = model.contains(key) || model.size() < 100;
      const auto value = static_cast<std::uint32_t>(random());
      REQUIRE((map.insert(key, value) != nullptr) == fits);
      if (fits) model[key] = value;
    } else {
      REQUIRE(map.erase(key) == (model.erase(key) == 1));
    }
    const auto probe = static_cast<std::uint32_t>(random() % 300);
    const std::uint32_t* found = map.find(probe);
    REQUIRE((found != nullptr) == model.contains(probe));
    if (found != nullptr) REQUIRE(*found == model[probe]);
    REQUIRE(map.size() == model.size());
  }
}
