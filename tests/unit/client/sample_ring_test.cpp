#include "tools/client/sample_ring.h"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <thread>
#include <vector>

#include "tests/support/allocation_count.h"

using namespace earshot;
using client::SampleRing;

TEST_CASE("what does not fit is not taken, what is not there is not given") {
  SampleRing ring(5);
  CHECK(ring.capacity() == 8);
  const std::array<std::int16_t, 6> six{1, 2, 3, 4, 5, 6};
  CHECK(ring.write(six) == 6);
  CHECK(ring.write(six) == 2);
  CHECK(ring.write(six) == 0);
  CHECK(ring.size() == 8);
  std::array<std::int16_t, 7> out{};
  CHECK(ring.read(out) == 7);
  CHECK(out == std::array<std::int16_t, 7>{1, 2, 3, 4, 5, 6, 1});
  CHECK(ring.read(out) == 1);
  CHECK(out[0] == 2);
  CHECK(ring.read(out) == 0);
  CHECK(ring.read({}) == 0);
  CHECK(ring.size() == 0);
}

// Also the test that ThreadSanitizer watches.
TEST_CASE("two threads: nothing is lost, repeated or out of order, and nothing is allocated") {
  constexpr std::size_t total = 2'000'000;
  SampleRing ring(1'000);
  test::begin_counting_allocations();
  std::thread producer([&ring] {
    std::minstd_rand random(1);
    std::array<std::int16_t, 700> block;
    for (std::size_t sent = 0; sent < total;) {
      const std::size_t size = std::min<std::size_t>(random() % block.size(), total - sent);
      for (std::size_t i = 0; i < size; ++i) block[i] = static_cast<std::int16_t>(sent + i);
      const std::size_t written = ring.write(std::span(block).first(size));
      sent += written;
      if (written < size) std::this_thread::yield();
    }
  });
  std::minstd_rand random(2);
  std::array<std::int16_t, 700> block;
  std::size_t wrong = 0;
  for (std::size_t received = 0; received < total;) {
    const std::size_t size = ring.read(std::span(block).first(random() % block.size()));
    for (std::size_t i = 0; i < size; ++i) {
      if (block[i] != static_cast<std::int16_t>(received + i)) ++wrong;
    }
    received += size;
    CHECK(ring.size() <= ring.capacity());
    if (size == 0) std::this_thread::yield();
  }
  producer.join();
  // Of other threads than this one.
  CHECK(test::end_counting_allocations() == 0);
  CHECK(wrong == 0);
  CHECK(ring.size() == 0);
}
