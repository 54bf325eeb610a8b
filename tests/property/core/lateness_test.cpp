// What holds for any traffic, over more than a million packets of every kind of trouble.
#include "relay/core/lateness.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

using namespace earshot;

namespace {

constexpr std::int64_t ms = 48;
constexpr int streams_count = 800;
constexpr int packets_count = 1'500;

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  std::uint64_t next() {
    state_ = state_ * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    return state_ >> 33;
  }
  std::int64_t below(std::int64_t bound) { return static_cast<std::int64_t>(next()) % bound; }
  bool one_in(std::int64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

// Stalls, bursts, jumps of the path and of the sender, pauses, losses, and reordering if asked for.
std::vector<LatenessInput> traffic(Random& random, bool is_ordered) {
  std::vector<LatenessInput> packets;
  auto sequence = static_cast<std::uint16_t>(random.next());
  auto timestamp = static_cast<std::uint32_t>(random.next());
  std::int64_t sent = 1'000'000;
  std::int64_t path = 0;
  std::int64_t open_at = 0;
  std::int64_t arrived = 0;
  const std::int64_t jitter = 1 + random.below(40) * ms;
  for (int i = 0; i < packets_count; ++i) {
    if (random.one_in(100)) open_at = sent + random.below(3'000) * ms;
    if (random.one_in(200)) path = random.below(1'500) * ms;
    if (random.one_in(300)) sent += random.below(70'000) * ms;
    if (random.one_in(400)) timestamp += static_cast<std::uint32_t>(random.next());
    if (random.one_in(500)) sequence = static_cast<std::uint16_t>(random.next());
    std::int64_t at = std::max(sent + path + random.below(jitter), open_at);
    if (is_ordered) at = std::max(at, arrived + random.below(2) * ms);
    arrived = at;
    if (!random.one_in(20)) packets.push_back({at, sequence, timestamp, random.one_in(10)});
    ++sequence;
    timestamp += 960;
    sent += 20 * ms;
  }
  if (!is_ordered) {
    std::stable_sort(packets.begin(), packets.end(),
                     [](const LatenessInput& a, const LatenessInput& b) {
                       return a.arrival_ticks < b.arrival_ticks;
                     });
  }
  return packets;
}

std::vector<bool> kept(const std::vector<LatenessInput>& packets, std::uint16_t late_ms_max) {
  LatenessState state;
  std::vector<bool> verdicts;
  for (const LatenessInput& p : packets) {
    verdicts.push_back(lateness(state, p, late_ms_max).verdict == LatenessVerdict::keep);
  }
  return verdicts;
}

}  // namespace

TEST_CASE("constant shifts of arrival, sequence and time stamp change no verdict") {
  for (int seed = 0; seed < streams_count; ++seed) {
    CAPTURE(seed);
    Random random(static_cast<std::uint64_t>(seed));
    const auto packets = traffic(random, seed % 2 == 0);
    const auto bound = static_cast<std::uint16_t>(20 + random.below(300));
    auto shifted = packets;
    const std::int64_t arrival = random.below(1'000'000'000'000);
    const auto sequence = static_cast<std::uint16_t>(random.next());
    const auto timestamp = static_cast<std::uint32_t>(random.next());
    for (LatenessInput& p : shifted) {
      p.arrival_ticks += arrival;
      p.sequence = static_cast<std::uint16_t>(p.sequence + sequence);
      p.timestamp += timestamp;
    }
    CHECK(kept(packets, bound) == kept(shifted, bound));
  }
}

TEST_CASE("nothing within the bound of the least transit of all is dropped") {
  std::uint64_t dropped = 0;
  for (int seed = 0; seed < streams_count; ++seed) {
    CAPTURE(seed);
    Random random(static_cast<std::uint64_t>(seed) + 10'000);
    const auto bound = static_cast<std::uint16_t>(20 + random.below(300));
    LatenessState state;
    std::int64_t least = INT64_MAX;
    for (const LatenessInput& p : traffic(random, seed % 2 == 0)) {
      const Lateness judged = lateness(state, p, bound);
      // Of a sender that began anew nothing before counts. The state's unwrapped time tells.
      const bool is_newest = p.sequence == state.sequence && p.timestamp == state.timestamp;
      const std::int64_t media =
          state.media + static_cast<std::int32_t>(p.timestamp - state.timestamp);
      if (is_newest && judged.ticks == 0 && state.transit_min == state.transit_min_before &&
          state.half_began == p.arrival_ticks) {
        least = INT64_MAX;
      }
      least = std::min(least, p.arrival_ticks - media);
      if (judged.verdict == LatenessVerdict::drop) {
        ++dropped;
        CHECK(p.arrival_ticks - media - least > bound * ms);
      }
    }
  }
  CHECK(dropped > 10'000);
}

TEST_CASE("where gaps stay above 16 ms, no more is dropped than there are jumps") {
  std::uint64_t jumps_of_all = 0;
  for (int seed = 0; seed < streams_count; ++seed) {
    CAPTURE(seed);
    Random random(static_cast<std::uint64_t>(seed) + 20'000);
    LatenessState state;
    std::int64_t at = 0;
    std::uint32_t timestamp = 0;
    int jumps = 0;
    int drops = 0;
    for (std::uint16_t sequence = 0; sequence < packets_count; ++sequence) {
      std::int64_t gap = 16 * ms + random.below(8 * ms);
      if (random.one_in(50)) gap += random.below(1'000 * ms);
      if (gap - 960 >= 40 * ms) ++jumps;
      at += gap;
      const Lateness judged = lateness(state, {at, sequence, timestamp, false}, 80);
      if (judged.verdict == LatenessVerdict::drop) ++drops;
      timestamp += 960;
    }
    CHECK(drops <= jumps);
    jumps_of_all += static_cast<std::uint64_t>(jumps);
  }
  CHECK(jumps_of_all > 1'000);
}
