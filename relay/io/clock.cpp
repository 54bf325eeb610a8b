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

ClockOffset sample_clock_offset() {
  return {read(CLOCK_MONOTONIC) - read(CLOCK_REALTIME)};
}

Time arrival_time(std::int64_t stamp_realtime_ns, ClockOffset offset, Time last_cycle, Time now) {
  return std::clamp(Time{stamp_realtime_ns + offset.ns}, std::min(last_cycle, now), now);
}

}  // namespace earshot::io
