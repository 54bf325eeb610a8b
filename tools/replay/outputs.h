// What a replay leaves behind for machines: JSON, the verdicts as CSV, and the comparison of two
// JSON files. Any one thread. Same input, options and seed: the same bytes.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "tools/replay/run.h"

namespace earshot::replay {

using Json = nlohmann::ordered_json;

// How a run came about: what a reader of the JSON needs to do it again.
struct RunDescription {
  std::uint64_t seed = 0;
  std::string profile;  // empty: none
  std::string uplink;   // as given, empty: nothing added to the profile
  std::string downlink;
};

Json to_json(const Trace& trace, std::span<const RunResult> results, const RunDescription& how);

// index,ssrc,seq,lateness_ms,verdict: a line for each packet of the trace, of which there are as
// many verdicts.
Result<void> write_verdicts(const Trace& trace, std::span<const Judged> verdicts, std::FILE* file);

struct DiffOptions {
  double mos_loss_max = 0.05;
};
struct Diff {
  std::vector<std::string> lines;  // for people
  bool is_worse = false;           // some listener of some policy lost more than mos_loss_max
};
// Compares the listeners of policies that both have, by their names; if neither names the other's
// policies and each has one, those two. An error if there is nothing to compare, or it is not the
// JSON of a replay.
Result<Diff> diff(const Json& a, const Json& b, const DiffOptions& options);

}  // namespace earshot::replay
