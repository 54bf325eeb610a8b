// What one participant of the demonstration heard of another one: the row of its table, and what
// its verdict is made of. A plain value.
#pragma once

#include <cstdint>
#include <string>

#include "relay/base/time.h"
#include "tools/client/spectrum.h"

namespace earshot::tools {

struct DemoPair {
  std::string listener;
  std::string speaker;
  bool is_ours = true;  // the speaker belongs to the demonstration: what it said is known
  std::uint64_t sent = 0;
  std::uint64_t heard = 0;
  std::uint64_t lost = 0;
  std::uint64_t audible = 0;
  Duration latency_p50, latency_p99;           // from the send call to the listener's socket
  std::uint64_t latency_count = 0;             // frames they were measured on
  double level_sent = client::level_silent;    // dBFS
  double level = client::level_silent;         // dBFS
  double level_recent = client::level_silent;  // of the last second, while it speaks
};

}  // namespace earshot::tools
