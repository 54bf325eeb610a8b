// The replay window behind a counter of 32 bits on the wire, in either byte order, against a
// std::set that forgets nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

#include "crypto/aead.h"
#include "crypto/replay_window.h"

using namespace earshot::crypto;

namespace {

enum class Order { big_endian, little_endian };

Counter on_wire(std::uint32_t value, Order order) {
  Counter c{static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
            static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
  if (order == Order::little_endian) std::reverse(c.begin(), c.end());
  return c;
}

std::uint32_t read(const Counter& counter, Order order) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | counter[order == Order::big_endian ? i : 3 - i];
  return value;
}

// Every counter that was accepted, as the sender counted it.
template <std::size_t Bits>
struct Model {
  std::set<std::uint64_t> seen;

  bool accept(std::uint64_t counter) {
    const std::uint64_t highest = seen.empty() ? 0 : *seen.rbegin();
    const bool is_too_old = !seen.empty() && counter < highest && highest - counter >= Bits - 64;
    return !is_too_old && seen.insert(counter).second;
  }
};

// How far the next packet is from the newest: mostly next, sometimes late, repeated, far ahead.
std::int64_t step(std::mt19937_64& random) {
  const auto up_to = [&](std::int64_t bound) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
  };
  switch (random() % 16) {
    case 0:
      return -up_to(2'000);
    case 1:
      return up_to(3'000);
    case 2:
      return -up_to(70);
    case 3:
      return random() % 64 == 0 ? up_to(INT32_MAX) : 1;
    case 4:
    case 5:
      return -up_to(4);
    default:
      return 1;
  }
}

template <std::size_t Bits>
void run(std::uint64_t seed, std::uint32_t start, Order order) {
  CAPTURE(seed);
  CAPTURE(start);
  std::mt19937_64 random(seed);
  ReplayWindow<Bits> window{};
  Model<Bits> model;
  std::uint64_t newest = (std::uint64_t{1} << 32) + start;
  for (int i = 0; i < 4'000; ++i) {
    const std::uint64_t counter =
        i == 0 ? newest : newest + static_cast<std::uint64_t>(step(random));
    const std::uint32_t value = read(on_wire(static_cast<std::uint32_t>(counter), order), order);
    const std::uint64_t unwrapped = unwrap_counter(window.highest(), window.is_empty(), value);
    REQUIRE(unwrapped == counter);
    const bool is_fresh = model.accept(counter);
    using Verdict = typename ReplayWindow<Bits>::Verdict;
    REQUIRE((window.check(unwrapped) == Verdict::fresh) == is_fresh);
    REQUIRE((window.accept(unwrapped) == Verdict::fresh) == is_fresh);
    newest = std::max(newest, counter);
    REQUIRE(window.highest() == newest);
  }
}

}  // namespace

TEST_CASE("accepts what the model accepts, in both byte orders and over the wrap") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    for (const std::uint32_t start : {0u, 1u, 0x7FFFFFFFu, 0x80000080u, 0xFFFFFF00u, 0xFFFFFFFFu}) {
      for (const Order order : {Order::big_endian, Order::little_endian}) {
        run<1024>(seed, start, order);
        run<128>(seed + 100, start, order);
      }
    }
  }
}

TEST_CASE("unwrapping finds every counter within half the space of the highest") {
  const std::uint64_t seed = 8;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t highest = (std::uint64_t{1} << 32) + random() % (std::uint64_t{1} << 40);
    const auto distance = static_cast<std::int32_t>(random() >> (32 + random() % 31));
    const std::uint64_t counter = highest + static_cast<std::uint64_t>(std::int64_t{distance});
    REQUIRE(unwrap_counter(highest, false, static_cast<std::uint32_t>(counter)) == counter);
  }
}
