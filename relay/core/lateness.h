// The late-frame policy: keep or drop, from arrival, sequence and time stamp alone. Pure over 64
// bytes of state per stream; any one thread. A frame is dropped when it is later than the bound and
// fresher frames are right behind it: in the backlog of a stall that drains faster than it plays.
// It never sees a clock or a payload. Why it is like this: docs/late-frames.md.
#pragma once

#include <cstdint>

#include "relay/base/time.h"

namespace earshot {

// What the policy may know of a packet. It never sees payload bytes, only whether there are more
// than three of them (silence and DTX are that small).
struct LatenessInput {
  std::int64_t arrival_ticks = 0;  // 48 kHz; the receive stamp, never the time of processing
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  bool is_small = false;
};

enum class LatenessVerdict : std::uint8_t { keep, drop };

struct Lateness {
  LatenessVerdict verdict = LatenessVerdict::keep;
  // Transit over the stream's recent minimum, 48 kHz ticks, 0..480,000 (10 s); 0 for a first
  // packet, a restart of the sender and what follows a pause.
  std::int32_t ticks = 0;
};

// Per stream. All zero is a stream that has not begun.
struct LatenessState {
  // 48 kHz ticks. Transit is arrival minus RTP time (RFC 3550 A.8), its zero is the first packet.
  std::int64_t media = 0;    // RTP time of the newest packet, unwrapped
  std::int64_t arrival = 0;  // of the newest packet
  std::int64_t transit_min = 0;
  std::int64_t transit_min_before = 0;  // of the half window before
  std::int64_t half_began = 0;
  std::int32_t mean64 = 0;     // mean lateness of what is kept, times 64
  std::int32_t run_wall = 0;   // of the run behind the head of a backlog: time that passed
  std::int32_t run_media = 0;  // and speech that came in it
  std::uint32_t timestamp = 0;
  std::uint16_t sequence = 0;
  bool has_begun = false;
  bool is_in_backlog = false;
  bool is_paused = false;  // the newest packet was small

  bool operator==(const LatenessState&) const = default;
};
static_assert(sizeof(LatenessState) == 64);

// `late_ms_max`: 20..2000, or 0 for off: then every packet is kept, and the state runs on as for
// 200. Requires that duplicates are gone. The state afterwards is a function of the arguments.
Lateness lateness(LatenessState& state, const LatenessInput& in, std::uint16_t late_ms_max);

}  // namespace earshot
