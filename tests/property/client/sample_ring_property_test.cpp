#include "tools/client/sample_ring.h"

#include <doctest/doctest.h>

#include <deque>
#include <random>
#include <vector>

using namespace earshot;

TEST_CASE("behaves as a deque of bounded size, whatever is written and read") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    client::SampleRing ring(1 + random() % 100);
    std::deque<std::int16_t> model;
    std::int16_t next = 0;
    for (int step = 0; step < 5'000; ++step) {
      const std::size_t size = random() % (ring.capacity() + 10);
      if (random() % 2 == 0) {
        std::vector<std::int16_t> samples(size);
        for (auto& sample : samples) sample = next++;
        const std::size_t expected = std::min(size, ring.capacity() - model.size());
        REQUIRE(ring.write(samples) == expected);
        model.insert(model.end(), samples.begin(),
                     samples.begin() + static_cast<std::ptrdiff_t>(expected));
      } else {
        std::vector<std::int16_t> out(size, -1);
        const std::size_t expected = std::min(size, model.size());
        REQUIRE(ring.read(out) == expected);
        for (std::size_t i = 0; i < expected; ++i) {
          REQUIRE(out[i] == model.front());
          model.pop_front();
        }
        // Beyond what was there nothing is touched.
        for (std::size_t i = expected; i < size; ++i) REQUIRE(out[i] == -1);
      }
      REQUIRE(ring.size() == model.size());
    }
  }
}
