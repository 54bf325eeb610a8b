#include "relay/base/fixed_map.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "relay/base/address.h"
#include "tests/support/allocation_count.h"

using namespace earshot;

namespace {

// Every key has the same home: one run through the whole table.
struct Colliding {
  std::uint64_t operator()(int, std::uint64_t) const { return UINT64_MAX; }
};
struct Plain {
  std::uint64_t operator()(int key, std::uint64_t seed) const {
    return static_cast<std::uint64_t>(key) + seed;
  }
};

using Map = FixedMap<int, int, Plain>;

}  // namespace

TEST_CASE("insert, overwrite, find, erase") {
  Map map(4, 0);
  CHECK(map.size() == 0);
  CHECK(map.capacity() == 4);
  CHECK(map.find(1) == nullptr);
  CHECK_FALSE(map.erase(1));
  REQUIRE(map.insert(1, 10) != nullptr);
  CHECK(*map.find(1) == 10);
  CHECK(*map.insert(1, 11) == 11);
  CHECK(map.size() == 1);
  *map.find(1) = 12;
  CHECK(*map.find(1) == 12);
  CHECK(map.erase(1));
  CHECK(map.find(1) == nullptr);
  CHECK(map.size() == 0);
}

TEST_CASE("it is full at its capacity, not before, and then still overwrites") {
  for (const std::size_t capacity :
       {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{8}}) {
    CAPTURE(capacity);
    Map map(capacity, 0);
    for (int i = 0; i < static_cast<int>(capacity); ++i) REQUIRE(map.insert(i, i) != nullptr);
    CHECK(map.insert(1'000, 0) == nullptr);
    CHECK(map.find(1'000) == nullptr);
    CHECK(map.size() == capacity);
    if (capacity == 0) continue;
    CHECK(*map.insert(0, 5) == 5);
    CHECK(map.erase(0));
    CHECK(map.insert(1'000, 1) != nullptr);
  }
}

TEST_CASE("keys that all collide are found, also after the run was torn") {
  for (int victim = 0; victim < 16; ++victim) {
    CAPTURE(victim);
    FixedMap<int, int, Colliding> map(16, 0);
    for (int i = 0; i < 16; ++i) REQUIRE(map.insert(i, i * 10) != nullptr);
    CHECK(map.erase(victim));
    for (int i = 0; i < 16; ++i) {
      const int* found = map.find(i);
      CHECK((found != nullptr) == (i != victim));
      if (found != nullptr) CHECK(*found == i * 10);
    }
    CHECK(map.insert(99, 990) != nullptr);
    CHECK(*map.find(99) == 990);
  }
}

TEST_CASE("neighbours' runs that touch and wrap survive each other's erasures") {
  // Homes at the last two cells and the first two: the second run is pushed behind the first.
  for (int first = -2; first < 2; ++first) {
    CAPTURE(first);
    Map map(8, 0);  // 32 cells
    for (const int key : {-2, 30, -1, 31, 0, 32, 1}) REQUIRE(map.insert(key, key) != nullptr);
    CHECK(map.erase(first));
    for (const int key : {-2, 30, -1, 31, 0, 32, 1}) {
      CAPTURE(key);
      CHECK((map.find(key) != nullptr) == (key != first));
    }
  }
}

TEST_CASE("nothing is allocated after construction") {
  struct EndpointHash {
    std::uint64_t operator()(const Endpoint& e, std::uint64_t seed) const { return hash(e, seed); }
  };
  FixedMap<Endpoint, std::uint32_t, EndpointHash> map(1'000, 42);
  int right = 0;
  const auto work = [&] {
    for (std::uint16_t round = 0; round < 3; ++round) {
      for (std::uint16_t port = 1; port <= 1'000; ++port) {
        right += map.insert({make_v4(10, 0, 0, 1), port}, port) != nullptr;
      }
      right += map.insert({make_v4(10, 0, 0, 1), 1'001}, 0) == nullptr;
      for (std::uint16_t port = 1; port <= 1'000; ++port) {
        right += *map.find({make_v4(10, 0, 0, 1), port}) == port;
        right += map.erase({make_v4(10, 0, 0, 1), port});
      }
    }
  };
  // The counter leaves out the thread that starts it, so another one does the work.
  std::atomic<bool> may_begin{false};
  std::atomic<bool> is_done{false};
  std::thread worker([&] {
    while (!may_begin) std::this_thread::yield();
    work();
    is_done = true;
  });
  test::begin_counting_allocations();
  may_begin = true;
  while (!is_done) std::this_thread::yield();
  CHECK(test::end_counting_allocations() == 0);
  worker.join();
  CHECK(right == 3 * 3'001);
}
