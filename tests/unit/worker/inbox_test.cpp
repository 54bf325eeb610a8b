#include "relay/worker/inbox.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "tests/support/allocation_count.h"

using namespace earshot;
using namespace earshot::test;

namespace {

struct Item {
  std::size_t producer = 0;
  std::uint64_t number = 0;
};

}  // namespace

TEST_CASE("the credit is the bound, for each producer by itself, and what is refused stays whole") {
  Inbox<std::vector<int>> inbox(3, 100);
  for (int i = 0; i < 100; ++i) REQUIRE(inbox.try_push(1, {i}));
  std::vector<int> refused{7, 8};
  CHECK_FALSE(inbox.try_push(1, std::move(refused)));
  CHECK(refused.size() == 2);
  for (int i = 0; i < 100; ++i) REQUIRE(inbox.try_push(2, {i}));
  std::vector<int> item;
  REQUIRE(inbox.try_pop_from(1, item));
  CHECK(item == std::vector<int>{0});
  CHECK(inbox.try_push(1, std::move(refused)));
  CHECK_FALSE(inbox.try_push(1, {1}));
  CHECK_FALSE(inbox.try_pop_from(0, item));
  std::size_t count = 0;
  while (inbox.try_pop(item)) ++count;
  CHECK(count == 200);
}

TEST_CASE("nobody waits for a producer that never stops") {
  Inbox<Item> inbox(8, 64);
  std::uint64_t next = 0;
  const auto flood = [&] {
    for (std::size_t p = 0; p < 7; ++p) {
      while (inbox.try_push(p, {p, ++next})) continue;
    }
  };
  flood();
  for (std::uint64_t i = 0; i < 10; ++i) REQUIRE(inbox.try_push(7, {7, i}));
  std::size_t pops = 0;
  for (std::uint64_t seen = 0; seen < 10; ++pops) {
    Item item;
    REQUIRE(inbox.try_pop(item));
    if (item.producer == 7) CHECK(item.number == seen++);
    flood();
  }
  CHECK(pops <= 10 * 8);
}

TEST_CASE("what was there can be taken to the last item, while more keeps coming") {
  constexpr std::size_t producers = 64;
  Inbox<Item> inbox(producers, 65);
  std::uint64_t next = 0;
  const auto flood = [&] {
    for (std::size_t p = 0; p < 4; ++p) {
      while (inbox.try_push(p, {p, ++next})) continue;
    }
  };
  flood();
  for (std::uint64_t i = 0; i < 65; ++i) REQUIRE(inbox.try_push(63, {63, i}));
  const std::uint64_t before = next;
  std::size_t taken = 0;
  inbox.take_waiting([&](Item& item) {
    CHECK((item.producer == 63 || item.number <= before));
    ++taken;
    flood();
  });
  CHECK(taken == 5 * 65);
  Item item;
  CHECK_FALSE(inbox.try_pop_from(63, item));
}

TEST_CASE("items of one producer keep their order between threads, and nothing is allocated") {
  constexpr std::size_t producers = 3;
  constexpr std::uint64_t items = 10'000;
  Inbox<Item> inbox(producers, 100);
  std::vector<std::thread> threads;
  std::atomic<bool> is_go{false};
  for (std::size_t p = 0; p < producers; ++p) {
    threads.emplace_back([&inbox, &is_go, p] {
      while (!is_go) std::this_thread::yield();
      for (std::uint64_t i = 0; i < items;) {
        if (inbox.try_push(p, {p, i})) {
          ++i;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  begin_counting_allocations();
  is_go = true;
  std::vector<std::uint64_t> expected(producers);
  std::uint64_t wrong = 0;
  for (std::uint64_t got = 0; got < producers * items;) {
    const auto note = [&](const Item& item) {
      wrong += item.number == expected[item.producer] ? 0u : 1u;
      expected[item.producer] = item.number + 1;
      ++got;
    };
    Item item;
    if (got % 3 == 0) {
      inbox.take_waiting(note);
    } else if (inbox.try_pop(item)) {
      note(item);
    }
  }
  CHECK(end_counting_allocations() == 0);
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
}
