// The report of a replay: one HTML file that needs nothing else, with tables and pictures (SVG) of
// one run, or of several side by side. Any thread. No scripts, no clock, no locale: the same input
// gives the same bytes. Runs nothing and measures nothing itself.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "tools/replay/run.h"
#include "tools/replay/trace.h"

namespace earshot::replay {

// Text may hold anything; it is escaped.
struct ReportInput {
  std::string title = "Replay";
  std::string source;            // what was replayed, in words: a file's name, or the generator
  const Trace* trace = nullptr;  // the one of all the runs
  std::vector<const RunResult*> runs;  // with the same streams and listeners
  std::string network;                 // the models; lines are kept
  std::uint64_t seed = 1;
  listen::QualityOptions quality;  // of the runs, to tell the constants
  // Each run but those with plain forwarding had RunOptions::shadow: without it nobody knows what
  // of the dropped would have been used.
  bool has_shadow = false;
};

// Without RunResult::verdicts there is no picture of single packets.
Result<void> write_report(std::FILE* file, const ReportInput& input);

}  // namespace earshot::replay
