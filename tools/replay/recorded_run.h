// A flight recorder's dump as the input of a replay: the relay's own verdicts, come to again, or
// those of another bound on the same packets. Any one thread; pure.
#pragma once

#include "relay/base/result.h"
#include "tools/replay/recording.h"
#include "tools/replay/run.h"

namespace earshot::replay {

// The packets in the order of recording.packets. Their sizes are those of their classes: a dump has
// no more.
Trace trace_of(const Recording& recording);

struct RecordedRun {
  RunResult result;
  std::uint64_t reproduced = 0;  // verdicts of the relay that the policy came to again
  std::uint64_t different = 0;   // or did not
  std::uint64_t unknown = 0;     // of streams whose state the dump lacks: kept as recorded
};

// `options.policy` is `recorded`, or `late` with a bound. What came before the late step keeps its
// recorded reason. Links and uplinks are in the dump; downlinks are options.downlink.
Result<RecordedRun> run(const Recording& recording, const Trace& trace, const RunOptions& options);

}  // namespace earshot::replay
