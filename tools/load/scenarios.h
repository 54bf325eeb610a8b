// The load runs: who does what, in which order, and what is told of it. Main thread of the parent
// process.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "relay/gateway/tls.h"
#include "relay/gateway/token.h"
#include "tools/load/flood.h"
#include "tools/load/gateway_socket.h"
#include "tools/load/report.h"

namespace earshot::load {

struct LoadOptions {
  Target target;
  std::optional<gateway::TlsContext> tls;
  std::function<std::string(const gateway::Claims&)> sign;
  pid_t relay = 0;  // 0: not on this machine, or not of interest
  std::size_t processes = 1;
  bool asks_for_address = true;

  std::size_t sessions = 1'000;
  std::size_t participants = 5;  // of a channel
  std::size_t at_once = 64;      // joining at a time
  double seconds = 10;
  std::optional<double> heartbeat_ms;  // the crowd's; otherwise as the relay says

  std::size_t live = 0;           // sessions that are measured meanwhile
  std::size_t live_speakers = 1;  // of each of their channels
  double live_heartbeat_ms = 250;

  std::size_t channels = 1;
  std::size_t speakers = 1;
  std::size_t frame_size = 120;

  bool refills = false;

  FloodOptions flood;
  std::size_t cycles = 5;
  std::size_t newcomers = 0;
  std::string newcomer_source;  // address their media comes from
  double move_seconds = 0;

  struct Bounds {
    std::optional<double> join_seconds, heartbeat_p99_ms, cut_p99_ms, stall_ms, loss_percent;
    std::optional<double> latency_p99_ms, latency_ratio, cost_ratio, growth_percent, back_seconds;
    std::optional<double> newcomer_ms;
  } max;
};

Report run_join(const LoadOptions& options);
Report run_idle(const LoadOptions& options);
Report run_talk(const LoadOptions& options);
Report run_storm(const LoadOptions& options);
Report run_attack(const LoadOptions& options);

}  // namespace earshot::load
