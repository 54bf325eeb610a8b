#include "relay/io/clock.h"

#include <algorithm>
#include <ctime>

namespace earshot::io {
namespace {

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

Time arrival_time(std::int64_t stamp_realtime_ns, const ClockSample& sample, Time drained_at) {
  return std::clamp(Time{stamp_realtime_ns - sample.realtime_ahead_ns},
                    std::min(drained_at, sample.now), sample.now);
}

}  // namespace earshot::io
