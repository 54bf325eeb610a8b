#include "tools/replay/recorded_run.h"

#include <algorithm>
#include <array>
#include <set>

namespace earshot::replay {
namespace {

// By flight::SizeClass: silence, speech at a common rate, more than that.
constexpr std::array<std::uint16_t, 3> typical_size{3, 100, 300};

// The same packets under another bound. A stream's later states come from the old one.
Recording with_bound(const Recording& recording, std::uint16_t late_ms_max) {
  Recording other = recording;
  for (RecordedPacket& p : other.packets) p.packet.late_ms_max = late_ms_max;
  std::set<Ssrc> seen;
  std::erase_if(other.states,
                [&](const RecordedState& s) { return !seen.insert(s.state.ssrc).second; });
  return other;
}

std::vector<Rejudged> judge(const Recording& recording, const Policy& policy) {
  if (policy.kind == Policy::Kind::recorded) return rejudge(recording);
  return rejudge(with_bound(recording, policy.ms));
}

}  // namespace

Trace trace_of(const Recording& recording) {
  Trace trace;
  for (const RecordedPacket& recorded : recording.packets) {
    const flight::Packet& p = recorded.packet;
    TracePacket packet;
    packet.arrival = p.arrival;
    packet.ssrc = p.ssrc;
    packet.timestamp = p.timestamp;
    packet.sequence = p.sequence;
    packet.size = typical_size[static_cast<std::size_t>(p.size)];
    trace.packets.push_back(packet);
  }
  return trace;
}

Result<RecordedRun> run(const Recording& recording, const Trace& trace, const RunOptions& options) {
  if (options.policy.kind == Policy::Kind::deadline) {
    return Error{"a recording is judged anew by late=N, off or recorded"};
  }
  RecordedRun out;
  LiveLog log;
  const auto verdicts = judge(recording, options.policy);
  for (std::uint32_t i = 0; i < verdicts.size(); ++i) {
    const Rejudged& v = verdicts[i];
    const bool is_judged = v.basis == Rejudged::Basis::judged;
    log.verdicts.push_back({verdict_of(v.reason), is_judged, v.lateness_ticks});
    if (v.basis == Rejudged::Basis::unknown) ++out.unknown;
    if (is_judged) {
      ++(v.reason == recording.packets[i].packet.reason ? out.reproduced : out.different);
    }
    if (v.reason != DropReason::none) continue;
    for (std::uint32_t l = 0; l < options.listeners.size(); ++l) {
      log.receptions.push_back({trace.packets[i].arrival, l, i});
    }
  }
  RunOptions with_log = options;
  with_log.live = &log;
  auto result = run(trace, with_log);
  if (!result) return result.error();
  out.result = std::move(result.value());
  return out;
}

}  // namespace earshot::replay
