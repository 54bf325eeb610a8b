#include "relay/io/clock.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>

namespace earshot::io {
namespace {

// Clocks that are slewed drift apart by less from batch to batch, or by so little that it does not
// matter.
constexpr std::int64_t step_min_ns = 5'000'000;

std::int64_t read(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

Time monotonic_now() {
  return {read(CLOCK_MONOTONIC)};
}

ClockSample sample_clocks() {
  const std::int64_t monotonic = read(CLOCK_MONOTONIC);
  return {{monotonic}, read(CLOCK_REALTIME) - monotonic};
}

Time arrival_time(std::int64_t stamp_realtime_ns, const ClockSample& sample,
                  const ClockSample& drained) {
  Time arrival{stamp_realtime_ns - sample.realtime_ahead_ns};
  if (std::abs(sample.realtime_ahead_ns - drained.realtime_ahead_ns) > step_min_ns) {
    const Time before{stamp_realtime_ns - drained.realtime_ahead_ns};
    if (before <= sample.now && (arrival > sample.now || arrival < before)) arrival = before;
  }
  return std::clamp(arrival, std::min(drained.now, sample.now), sample.now);
}

}  // namespace earshot::io
