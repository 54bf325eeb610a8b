// The options of `earshot replay`, and what they stand for: input, network, policies, listeners.
// Main thread only.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "tools/earshot/replay_live.h"
#include "tools/replay/outputs.h"
#include "tools/replay/run.h"

namespace earshot::tools {

struct ReplayOptions {
  std::string input;
  std::size_t synth = 0;  // participants; 0: there is an input
  std::int64_t synth_seconds = 60;
  bool synth_free = false, synth_frozen = false, synth_dtx = false;
  replay::TraceOptions trace;
  std::vector<std::uint32_t> ssrcs;
  std::uint16_t port = 0;
  std::string to, overhead = "auto";

  std::string profile, uplink, downlink;
  std::uint64_t seed = 1;
  std::string policies;
  int late_ms_max = -1;
  std::string listeners = "adaptive,fixed:60ms,never-skips";
  listen::QualityOptions quality;
  bool only_packets = false;

  bool is_virtual = false, is_live = false;
  LiveOptions live;
  std::string json, verdicts, csv, report, render, voice;
  std::vector<std::string> diff;
  replay::DiffOptions diff_options;
};

void add_replay_options(CLI::App& app, ReplayOptions& options);

// Everything but the input.
struct ReplaySetup {
  std::vector<replay::Policy> policies;
  replay::RunOptions run;
};
// What is wrong with the options, in a sentence.
Result<ReplaySetup> set_up(ReplayOptions& options);
// Whether a policy was named.
bool names_policy(const ReplayOptions& options);
// The file, or the synthetic one.
Result<replay::Trace> trace_of(const ReplayOptions& options);

}  // namespace earshot::tools
