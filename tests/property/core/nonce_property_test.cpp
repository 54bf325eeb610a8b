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

struct Session {
  std::uint32_t client_start = 0;
  CounterOrder order = CounterOrder::big_endian;
  std::uint32_t relay_start = 0;
  int packets = 0;
  int relay_rate = 1;    // packets of the relay for each of the client's
  int lost_first = 0;    // of the client's, before the first one arrives
  int relay_before = 0;  // of the relay's, before the client says anything
};

struct Run {
  std::uint64_t lost = 0;
  std::uint64_t met = 0;  // counters that both have used
  bool ended_with_fresh_key = false;
};

// A nonce is used when it is sealed, whether or not the packet arrives.
class Model {
 public:
  explicit Model(const Session& session) : session_(session) {
    nonces_begin(state_, session.relay_start);
  }

  // What the client put on the wire.
  crypto::Counter client_seals(std::uint32_t counter) {
    const auto raw = bytes(counter, session_.order);
    REQUIRE(by_client_.insert(value(raw)).second);
    if (by_relay_.contains(value(raw))) ++run_.met;
    return raw;
  }
  void relay_receives(const crypto::Counter& raw) {
    const auto receipt = nonces_receive(state_, raw);
    has_arrived_ = true;
    if (by_relay_.contains(value(raw))) REQUIRE(receipt.reason == DropReason::nonce_collision);
    if (receipt.reason == DropReason::nonce_collision) {
      // Met a counter that the relay used, or passed over for this very client: the session gets a
      // fresh key.
      REQUIRE(state_.fresh_key_needed);
    } else if (receipt.reason != DropReason::none) {
      ++run_.lost;
    }
  }
  void relay_seals() {
    const auto mine = nonces_next(state_);
    if (!mine) return;
    REQUIRE(by_relay_.insert(value(*mine)).second);
    const bool is_taken = by_client_.contains(value(*mine));
    // Before it has heard of the client at all, nobody could tell.
    if (has_arrived_) REQUIRE_FALSE(is_taken);
    if (is_taken) ++run_.met;
  }

  NonceState& state() { return state_; }
  Run finish() {
    run_.ended_with_fresh_key = state_.fresh_key_needed;
    // Both used one nonce: only a fresh key makes that good.
    if (run_.met > 0) REQUIRE(run_.ended_with_fresh_key);
    return run_;
  }

 private:
  Session session_;
  NonceState state_;
  std::unordered_set<std::uint32_t> by_relay_;
  std::unordered_set<std::uint32_t> by_client_;
  Run run_;
  bool has_arrived_ = false;
};

// One session until its fresh key: the client counts from its start with loss and short reordering
// on the way in, and no nonce may ever be used twice, in either direction.
Run run_session(const Session& session, std::mt19937_64& random) {
  Model model(session);
  std::uint32_t counter = session.client_start;
  for (int i = 0; i < session.relay_before; ++i) model.relay_seals();
  for (int i = 0; i < session.lost_first; ++i) (void)model.client_seals(counter++);
  for (int i = 0; i < session.packets && !model.state().fresh_key_needed; ++i) {
    const auto first = model.client_seals(counter++);
    const bool lose = random() % 32 == 0;
    if (random() % 16 == 0) {
      model.relay_receives(model.client_seals(counter++));
      model.relay_receives(first);
    } else if (!lose) {
      model.relay_receives(first);
    }
    for (int k = 0; k < session.relay_rate; ++k) model.relay_seals();
  }
  return model.finish();
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
        const int lost_first = round % 3 == 0 ? static_cast<int>(random() % 500) : 0;
        const Run run = run_session({start, order, relay_start, 1'500, 8, lost_first, 0}, random);
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
    CHECK(run_session({near, CounterOrder::big_endian, n, 800, 16, 0, 0}, random).lost == 0);
    const auto reversed = bytes(near, CounterOrder::little_endian);
    CHECK(run_session({value(reversed), CounterOrder::little_endian, n, 800, 16, 0, 0}, random)
              .lost == 0);
  }
}

TEST_CASE("the relay's counters crossing the wrap stay clear of a client just behind it") {
  std::mt19937_64 random(7);
  for (std::uint32_t offset = 0; offset < 300; offset += 7) {
    const Session session{
        0x80000080u + offset, CounterOrder::big_endian, limits::nonce_space - 200, 600, 4, 0, 0};
    CHECK(run_session(session, random).lost == 0);
    // Many more of the relay's packets than of the client's: it crosses between two of them.
    const Session fast{
        0x80000080u + offset, CounterOrder::big_endian, limits::nonce_space - 700, 30, 600, 0, 0};
    CHECK(run_session(fast, random).lost == 0);
  }
}

TEST_CASE("a client whose first packets were all lost has used their counters all the same") {
  const std::uint64_t seed = 4;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    const auto n = static_cast<std::uint32_t>(random()) & (limits::nonce_space - 1);
    const int lost_first = 1 + static_cast<int>(random() % 2'000);
    // The relay begins among the counters of the packets that never came, or has just been there.
    const auto behind = value(relay_counter(n)) - static_cast<std::uint32_t>(random() % 2'000);
    const int relay_before = round % 2 == 0 ? 0 : static_cast<int>(random() % 1'000);
    for (const CounterOrder order : {CounterOrder::big_endian, CounterOrder::little_endian}) {
      CAPTURE(n);
      CAPTURE(behind);
      CAPTURE(lost_first);
      CAPTURE(relay_before);
      const std::uint32_t start =
          order == CounterOrder::big_endian ? behind : value(bytes(behind, order));
      const Run run = run_session({start, order, n, 800, 8, lost_first, relay_before}, random);
      CHECK(run.lost == 0);
    }
  }
}

TEST_CASE("a client that counts up to a used range hears of it in time, and loses nothing") {
  std::mt19937_64 random(11);
  const std::uint32_t n = 0x123456;
  const Session session{value(relay_counter(n)) - limits::nonce_near - 2'000,
                        CounterOrder::big_endian,
                        n,
                        2 << 20,
                        1,
                        0,
                        3'000};
  Model model(session);
  for (int i = 0; i < session.relay_before; ++i) model.relay_seals();
  std::uint32_t counter = session.client_start;
  while (!model.state().fresh_key_needed) {
    model.relay_receives(model.client_seals(counter++));
    model.relay_seals();
  }
  const Run run = model.finish();
  CHECK(run.lost == 0);
  CHECK(run.met == 0);
  const std::uint32_t left = value(relay_counter(n)) - counter;
  CHECK(left <= limits::nonce_margin);
  CHECK(left >= limits::nonce_margin - 8);
}
