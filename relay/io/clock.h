// The only reader of the operating system's clocks on the packet path. Any thread.
// Receive stamps are on the realtime clock, which may be stepped; everything above uses the
// monotonic one.
#pragma once

#include "relay/base/time.h"

namespace earshot::io {

// CLOCK_MONOTONIC.
Time monotonic_now();

// Both clocks at one moment; sampled once a batch, so that a step of the wall clock is over with
// the batch.
struct ClockSample {
  Time now;                        // monotonic
  std::int64_t realtime_ahead_ns;  // realtime - monotonic
};
ClockSample sample_clocks();

// A kernel receive stamp (realtime, ns) on the monotonic clock, clamped to [drained.now,
// sample.now]: a packet of this batch cannot have come when the socket was last seen empty, nor in
// the future. `drained` is a sample of that moment: where the wall clock was stepped since, the
// stamp may be from before. Read with the wrong distance of the clocks it is off by the whole step;
// the later of the two readings that does not lie in the future is right.
Time arrival_time(std::int64_t stamp_realtime_ns, const ClockSample& sample,
                  const ClockSample& drained);

}  // namespace earshot::io
