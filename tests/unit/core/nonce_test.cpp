#include "relay/core/nonce.h"

#include <doctest/doctest.h>

#include <set>

using namespace earshot;

namespace {

crypto::Counter bytes(std::uint32_t value, CounterOrder order) {
  crypto::Counter c{static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
                    static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
  if (order == CounterOrder::little_endian) {
    std::swap(c[0], c[3]);
    std::swap(c[1], c[2]);
  }
  return c;
}

NonceState fresh(std::uint32_t start) {
  NonceState state;
  nonces_begin(state, start);
  return state;
}

}  // namespace

TEST_CASE("the relay's counters keep their form, and every n has its own") {
  for (std::uint32_t n :
       {0u, 1u, 127u, 128u, 0x3FFFFFFFu, 0x12345678u & (limits::nonce_space - 1)}) {
    const auto counter = relay_counter(n);
    CHECK((counter[0] & 0x80) != 0);
    CHECK((counter[3] & 0x80) != 0);
    CHECK(relay_counter_index(counter) == n);
  }
  CHECK_FALSE(relay_counter_index({0x7F, 0xFF, 0xFF, 0xFF}).has_value());
  CHECK_FALSE(relay_counter_index({0xFF, 0xFF, 0xFF, 0x7F}).has_value());
}

TEST_CASE("counters run from the random start and wrap") {
  NonceState state = fresh(limits::nonce_space - 2);
  CHECK(nonces_next(state) == relay_counter(limits::nonce_space - 2));
  CHECK(nonces_next(state) == relay_counter(limits::nonce_space - 1));
  CHECK(nonces_next(state) == relay_counter(0));
}

TEST_CASE("a used counter that comes from the client is a collision and asks for a fresh key") {
  NonceState state = fresh(1'000);
  const auto mine = *nonces_next(state);
  CHECK(nonces_receive(state, mine).reason == DropReason::nonce_collision);
  CHECK(state.fresh_key_needed);
}

TEST_CASE("exact repeats are dropped in both orders, before and after learning") {
  for (const CounterOrder order : {CounterOrder::big_endian, CounterOrder::little_endian}) {
    NonceState state = fresh(5);
    for (std::uint32_t i = 0; i < 700; ++i) {
      CHECK(nonces_receive(state, bytes(i, order)).reason == DropReason::none);
      CHECK(nonces_receive(state, bytes(i, order)).reason == DropReason::replayed);
    }
    CHECK(state.order == order);
    CHECK(nonces_receive(state, bytes(20, order)).reason == DropReason::replayed);
    CHECK_FALSE(state.fresh_key_needed);
  }
}

TEST_CASE("while the order is learnt, an exact repeat is dropped however old it is") {
  for (const CounterOrder order : {CounterOrder::big_endian, CounterOrder::little_endian}) {
    NonceState state = fresh(5);
    for (std::uint32_t i = 0; i < limits::nonce_learning_packets - 1; ++i) {
      REQUIRE(nonces_receive(state, bytes(i, order)).reason == DropReason::none);
      // In the other reading some of these look new again.
      for (std::uint32_t old = 0; old <= i; old += 7)
        REQUIRE(nonces_receive(state, bytes(old, order)).reason == DropReason::replayed);
    }
    CHECK(state.order == CounterOrder::unknown);
  }
}

TEST_CASE("a relay that has come round to its own beginning stops, and asks long before") {
  NonceState state = fresh(10);
  state.ranges[0].count = limits::nonce_space - limits::nonce_margin - 2;
  CHECK(nonces_next(state).has_value());
  CHECK_FALSE(state.fresh_key_needed);
  for (std::uint32_t i = 0; i < limits::nonce_margin + 1; ++i)
    REQUIRE(nonces_next(state).has_value());
  CHECK(state.fresh_key_needed);
  CHECK_FALSE(nonces_next(state).has_value());
  CHECK_FALSE(nonces_next(state).has_value());
}

TEST_CASE("reordered packets pass once, old ones do not") {
  NonceState state = fresh(5);
  for (std::uint32_t i = 1'000; i < 1'400; ++i) {
    if (i != 1'350) CHECK(nonces_receive(state, bytes(i, CounterOrder::big_endian)).is_newest);
  }
  const auto receipt = nonces_receive(state, bytes(1'350, CounterOrder::big_endian));
  CHECK(receipt.reason == DropReason::none);
  CHECK_FALSE(receipt.is_newest);
  CHECK(nonces_receive(state, bytes(1'350, CounterOrder::big_endian)).reason ==
        DropReason::replayed);
  // Below the window: too old to tell.
  for (std::uint32_t i = 1'400; i < 2'600; ++i)
    (void)nonces_receive(state, bytes(i, CounterOrder::big_endian));
  CHECK(nonces_receive(state, bytes(999, CounterOrder::big_endian)).reason == DropReason::replayed);
}

TEST_CASE(
    "the relay moves away from a big-endian client that comes near, and asks for a fresh key "
    "before it arrives") {
  const std::uint32_t start = 1u << 20;
  NonceState state = fresh(start);
  for (int i = 0; i < 1'000; ++i) CHECK(nonces_next(state).has_value());
  const std::uint32_t used_from = 0x80000080u | (start >> 7) << 8 | (start & 0x7F);
  std::uint32_t counter = used_from - limits::nonce_near + 3'000;
  for (int i = 0; i < 400; ++i) {
    CHECK(nonces_receive(state, bytes(counter++, CounterOrder::big_endian)).reason ==
          DropReason::none);
  }
  CHECK(state.order == CounterOrder::big_endian);
  CHECK(state.moves == 1);
  const auto moved = relay_counter_index(*nonces_next(state));
  CHECK(((*moved - start) & (limits::nonce_space - 1)) > limits::nonce_space / 4);
  CHECK_FALSE(state.fresh_key_needed);
  while (counter < used_from - limits::nonce_margin) {
    REQUIRE(nonces_receive(state, bytes(counter++, CounterOrder::big_endian)).reason ==
            DropReason::none);
  }
  CHECK_FALSE(state.fresh_key_needed);
  for (int i = 0; i < 3; ++i)
    (void)nonces_receive(state, bytes(counter++, CounterOrder::big_endian));
  CHECK(state.fresh_key_needed);
}

TEST_CASE("a little-endian client whose last byte gets its top bit needs a fresh key") {
  NonceState state = fresh(77);
  std::uint32_t counter = 0x80000000u - 350;
  for (int i = 0; i < 349; ++i) {
    CHECK(nonces_receive(state, bytes(counter++, CounterOrder::little_endian)).reason ==
          DropReason::none);
  }
  CHECK(state.order == CounterOrder::little_endian);
  CHECK_FALSE(state.fresh_key_needed);
  for (int i = 0; i < 2; ++i)
    (void)nonces_receive(state, bytes(counter++, CounterOrder::little_endian));
  CHECK(state.fresh_key_needed);
}

TEST_CASE("a restored session skips") {
  NonceState state = fresh(10);
  (void)nonces_next(state);
  nonces_skip(state, limits::nonce_restore_skip);
  CHECK(nonces_next(state) == relay_counter(11 + limits::nonce_restore_skip));
  CHECK(nonces_receive(state, relay_counter(12)).reason == DropReason::nonce_collision);
}
