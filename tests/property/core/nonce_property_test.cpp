#include <doctest/doctest.h>

#include <random>
#include <unordered_set>

#include "relay/core/nonce.h"

using namespace earshot;

namespace {

std::uint32_t value(const crypto::Counter& c) {
  return std::uint32_t{c[0]} << 24 | std::uint32_t{c[1]} << 16 | std::uint32_t{c[2]} << 8 | c[3];
}

crypto::Counter bytes(std::uint32_t v, CounterOrder order) {
  crypto::Counter c{static_cast<std::uint8_t>(v >> 24), static_cast<std::uint8_t>(v >> 16),
                    static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
  if (order == CounterOrder::little_endian) {
    std::swap(c[0], c[3]);
    std::swap(c[1], c[2]);
  }
  return c;
}

struct Run {
  std::uint64_t lost = 0;
  bool ended_with_fresh_key = false;
};

// One session until its fresh key: the client counts from `client_start`, the relay sends
// `relay_rate` packets for each of the client's, and no nonce may ever be used twice, in either
// direction.
Run run_session(std::uint32_t client_start, CounterOrder order, std::uint32_t relay_start,
                int packets, int relay_rate, std::mt19937_64& random) {
  NonceState state;
  nonces_begin(state, relay_start);
  std::unordered_set<std::uint32_t> used_by_relay;
  std::unordered_set<std::uint32_t> used_by_client;
  Run run;
  std::uint32_t counter = client_start;
  for (int i = 0; i < packets && !state.fresh_key_needed; ++i) {
    // Loss and short reordering on the way in: the client has used the counter all the same.
    const std::uint32_t sent = counter++;
    const bool swap = random() % 16 == 0;
    const bool lose = random() % 32 == 0;
    std::uint32_t order_of_arrival[2] = {sent, sent};
    int arrivals = lose ? 0 : 1;
    if (swap) {
      order_of_arrival[0] = counter++;
      order_of_arrival[1] = sent;
      arrivals = 2;
    }
    for (int k = 0; k < arrivals; ++k) {
      const auto raw = bytes(order_of_arrival[k], order);
      const bool relay_used_it = used_by_relay.contains(value(raw));
      const auto receipt = nonces_receive(state, raw);
      if (relay_used_it) REQUIRE(receipt.reason == DropReason::nonce_collision);
      if (receipt.reason == DropReason::nonce_collision) {
        // Met a counter that the relay used, or passed over for this very client: the session gets
        // a fresh key.
        REQUIRE(state.fresh_key_needed);
        continue;
      }
      if (receipt.reason != DropReason::none) ++run.lost;
      REQUIRE(used_by_client.insert(value(raw)).second);
    }
    for (int k = 0; k < relay_rate && !state.fresh_key_needed; ++k) {
      const auto mine = nonces_next(state);
      if (!mine) break;
      REQUIRE(used_by_relay.insert(value(*mine)).second);
      REQUIRE_FALSE(used_by_client.contains(value(*mine)));
    }
  }
  run.ended_with_fresh_key = state.fresh_key_needed;
  return run;
}

}  // namespace

TEST_CASE(
    "no nonce twice over both directions, and nothing lost, from every start in both orders") {
  const std::uint64_t seed = 20'261'124;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 12; ++round) {
    const std::uint32_t starts[] = {0,          1,          0x7FFFFFFF,
                                    0x80000080, 0xFFFFFF00, static_cast<std::uint32_t>(random())};
    for (const std::uint32_t start : starts) {
      for (const CounterOrder order : {CounterOrder::big_endian, CounterOrder::little_endian}) {
        CAPTURE(start);
        CAPTURE(static_cast<int>(order));
        const auto relay_start = static_cast<std::uint32_t>(random()) & (limits::nonce_space - 1);
        const Run run = run_session(start, order, relay_start, 1'500, 8, random);
        CHECK(run.lost == 0);
        // A client far from the relay's counters keeps its key.
        if (order == CounterOrder::big_endian && start < 2) CHECK_FALSE(run.ended_with_fresh_key);
        if (order == CounterOrder::little_endian && start < 2)
          CHECK_FALSE(run.ended_with_fresh_key);
      }
    }
  }
}

TEST_CASE("a relay that begins next to the client's counters keeps clear of them") {
  const std::uint64_t seed = 99;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    const auto n = static_cast<std::uint32_t>(random()) & (limits::nonce_space - 1);
    const auto near = value(relay_counter(n)) - 600 + static_cast<std::uint32_t>(random() % 1'200);
    CAPTURE(n);
    CAPTURE(near);
    CHECK(run_session(near, CounterOrder::big_endian, n, 800, 16, random).lost == 0);
    const auto reversed = bytes(near, CounterOrder::little_endian);
    CHECK(run_session(value(reversed), CounterOrder::little_endian, n, 800, 16, random).lost == 0);
  }
}

TEST_CASE("the relay's counters crossing the wrap stay clear of a client just behind it") {
  std::mt19937_64 random(7);
  for (std::uint32_t offset = 0; offset < 300; offset += 7) {
    CHECK(run_session(0x80000080u + offset, CounterOrder::big_endian, limits::nonce_space - 200,
                      600, 4, random)
              .lost == 0);
  }
}
