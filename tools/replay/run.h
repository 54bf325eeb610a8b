// A replay in virtual time: a trace over modelled uplinks into the relay, and over modelled
// downlinks to listeners of every kind, whose jitter buffers play it. Any one thread; no sockets,
// no clock. Same trace, options and seed: the same result, bit for bit.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"
#include "tools/listen/buffer.h"
#include "tools/listen/quality.h"
#include "tools/replay/network.h"
#include "tools/replay/policy.h"
#include "tools/replay/trace.h"
#include "tools/replay/virtual_relay.h"

namespace earshot::replay {

struct Listener {
  std::string name;  // "adaptive", "fixed 60 ms", "never skips"; with a number if there are several
  listen::BufferOptions buffer;
};
// "adaptive", "fixed:60ms" or "never-skips", each with "*N" for N of them, separated by commas.
Result<std::vector<Listener>> parse_listeners(std::string_view text);

// Follows what listeners get and play, to make it audible. Indices as in RunResult.
class PlayoutSink {
 public:
  virtual ~PlayoutSink() = default;
  // `packet`: index in the trace.
  virtual void on_inserted(std::size_t listener, std::size_t stream, std::size_t packet,
                           const listen::Inserted& inserted) = 0;
  virtual void on_played(std::size_t listener, std::size_t stream, Time now,
                         const listen::Playout& playout) = 0;
};

// What happened where a real relay stood in the middle.
struct LiveLog {
  struct Reception {
    Time at;
    std::uint32_t listener = 0;
    std::uint32_t packet = 0;  // index in the trace
  };
  std::vector<Judged> verdicts;       // for each packet of the trace
  std::vector<Reception> receptions;  // in order of time
};

struct RunOptions {
  Policy policy;
  PathModel uplink;    // of each stream
  PathModel downlink;  // of each listener
  std::uint64_t seed = 1;
  std::vector<Listener> listeners;
  listen::QualityOptions quality;  // `path_delay` is set by the run
  bool keeps_verdicts = false;
  // Of a run with plain forwarding: what each listener would have used (RunResult::played).
  const struct RunResult* shadow = nullptr;
  // Takes the place of uplinks and relay; the trace's times are those of sending then, and the
  // downlinks' models come on top of what the network did.
  const LiveLog* live = nullptr;
  PlayoutSink* sink = nullptr;
  // What listeners get of a packet, by its index in the trace, instead of Trace::payload(): a voice
  // that stands in for what is encrypted. Null: the trace's. Must not depend on the run.
  std::function<std::span<const std::uint8_t>(std::size_t packet)> payload_of;
  std::function<void(double share)> on_progress;  // now and then, from 0 to 1
};

// What became of a stream's packets up to the relay's verdict.
struct StreamResult {
  Ssrc ssrc;
  std::uint64_t packets = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(Verdict::count)> verdicts{};
};

// One stream as one listener heard it.
struct HeardStream {
  listen::Quality quality;
  std::vector<listen::QualityWindow> windows;
  std::vector<listen::LevelSample> levels;
  listen::BufferCounters buffer;
  std::vector<bool> played;  // by the order of sending, duplicates not counted
  // How many runs of missing packets there were, of one packet, of two, and so on.
  std::vector<std::uint64_t> missing_runs;
};

struct ListenerResult {
  std::string name;
  std::vector<HeardStream> streams;  // as in RunResult::streams
  // Means over the streams, weighted by their packets; percentiles and the worst are the greatest
  // and the least of any.
  listen::Quality total;
};

struct RunResult {
  Policy policy;
  Time begin;  // of the first packet in the trace
  Time end;
  std::vector<StreamResult> streams;  // in the order of their first packets
  std::vector<ListenerResult> listeners;
  std::vector<Judged> verdicts;  // for each packet of the trace, if it keeps them
  // Lateness of what reached the late step: packets per millisecond, the last for all above.
  std::array<std::uint64_t, 1'001> lateness_ms{};
};

// The streams of a trace, in the order of their first packets.
std::vector<Ssrc> streams_of(const Trace& trace);

// An error if there are more participants than a channel may have, or nobody listens.
Result<RunResult> run(const Trace& trace, const RunOptions& options);

}  // namespace earshot::replay
