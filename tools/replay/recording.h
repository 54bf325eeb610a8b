// A flight recorder's dump, read back: what entered a relay, what it decided, and the same verdicts
// come to anew (docs/operations.md, "Recordings"). Any thread. Files may be anything: what no relay
// has written is one sentence, and memory is bounded by the file's real size.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/core/flight_record.h"

namespace earshot::replay {

struct RecordedPacket {
  flight::Packet packet;
  std::uint32_t position = 0;  // among those of its worker: the order in which it met them
  WorkerIndex worker;

  bool is_small() const { return packet.size == flight::SizeClass::small; }
};

// A stream's policy state, before its packet that follows at or behind `position`.
struct RecordedState {
  flight::State state;
  std::uint32_t position = 0;
  WorkerIndex worker;
};

struct Recording {
  NodeId node;
  Time taken_at;         // on the node's monotonic clock, as all arrivals are
  Duration wall_offset;  // wall clock minus monotonic clock at that time
  Time covered_from;     // since then it has everything, of all workers; 0: since the start
  std::size_t workers_count = 0;
  std::vector<RecordedPacket> packets;  // by (arrival, worker, position)
  std::vector<RecordedState> states;    // by (worker, position)
};

// The error names what is wrong with it.
Result<Recording> read_recording(std::FILE* file, const std::string& name);
Result<Recording> read_recording(const std::string& path);
// Does a file begin like one?
bool is_recording(const std::uint8_t* bytes, std::size_t size);

// Does it hold all that arrived from `from` to `to`? If not, the ring was too short, or it was
// dumped too early.
bool covers(const Recording& recording, Time from, Time to);

struct Rejudged {
  enum class Basis : std::uint8_t {
    recorded,  // another reason came before the policy: that one
    judged,    // the policy was asked
    unknown,   // it reached the policy, but the stream's state before it is not in the recording
  };
  DropReason reason = DropReason::none;  // of an unknown one: the recorded one
  Basis basis = Basis::recorded;
  std::int32_t lateness_ticks = 0;  // if judged
};

// In the order of recording.packets.
std::vector<Rejudged> rejudge(const Recording& recording);

}  // namespace earshot::replay
