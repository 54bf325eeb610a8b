// The only reader of the operating system's clocks on the packet path. Any thread.
// Receive stamps are on the realtime clock, which may be stepped; everything above uses the
// monotonic one.
#pragma once

#include "relay/base/time.h"

namespace earshot::io {

// CLOCK_MONOTONIC.
Time monotonic_now();

// monotonic - realtime at this moment; sampled once a batch, so that a step of the wall clock is
// over with the batch.
struct ClockOffset {
  std::int64_t ns = 0;
};
ClockOffset sample_clock_offset();

// A kernel receive stamp (realtime, ns) on the monotonic clock, clamped to [last_cycle, now]: a
// packet that this batch brought cannot have come before the last one was taken, nor in the future.
Time arrival_time(std::int64_t stamp_realtime_ns, ClockOffset offset, Time last_cycle, Time now);

}  // namespace earshot::io
