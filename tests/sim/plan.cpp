#include "tests/sim/plan.h"

#include <algorithm>

#include "tools/replay/random.h"

namespace earshot::sim {
namespace {

template <typename T, std::size_t n>
T one_of(replay::Random& random, const T (&values)[n]) {
  return values[random.below(n)];
}

}  // namespace

Plan draw_plan(std::uint64_t seed) {
  replay::Random random(replay::derive_seed(seed, 1));
  Plan p;
  p.workers = 1 + random.below(3);
  constexpr std::size_t crowds[] = {2, 3, 4, 6, 8, 12, 24};
  p.people = one_of(random, crowds);
  p.channels = 1 + random.below(std::min<std::size_t>(4, p.people / 2));
  constexpr double intensities[] = {0.25, 1, 4, 16};
  p.intensity = one_of(random, intensities);
  constexpr std::int64_t pauses_s[] = {2, 10, 30, 60};
  p.pause = seconds(one_of(random, pauses_s)) * static_cast<std::int64_t>(1 + p.people / 8);
  const std::size_t share = (p.people + p.workers - 1) / p.workers;
  p.channel_participants_per_worker_max = share + 1 + random.below(3);
  p.sessions_max = share + 3 + random.below(4);
  constexpr std::size_t credits[] = {2, 8, 64};
  p.packet_credit = one_of(random, credits);
  p.command_credit = one_of(random, credits);
  constexpr std::size_t buffers[] = {8, 64, 1'024};
  p.socket_buffer = one_of(random, buffers);
  constexpr std::int64_t wakes_us[] = {50, 500, 5'000};
  p.wake_max = microseconds(one_of(random, wakes_us));
  constexpr std::int64_t stales_ms[] = {0, 100, 500};
  p.stale_max = milliseconds(one_of(random, stales_ms));
  constexpr double shares[] = {0, 0.01, 0.2};
  p.missteering = p.workers > 1 ? one_of(random, shares) : 0;
  p.send_drops = one_of(random, shares) / 10;
  p.node = static_cast<std::uint16_t>(random.chance(0.5) ? 0 : random.below(1'024));
  return p;
}

}  // namespace earshot::sim
