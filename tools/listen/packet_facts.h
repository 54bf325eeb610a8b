// What a jitter buffer wants to know of a packet without decoding it: its duration, whether it is
// silence, whether it carries in-band FEC for the one before it. Any thread; pure.
#pragma once

#include "tools/listen/buffer.h"

namespace earshot::listen {

struct PacketFacts {
  int samples = 0;  // 0: nobody knows
  bool is_silence = false;
  bool has_fec = false;
};

PacketFacts facts_of(const Packet& packet);

// How long packets are that do not say, from the time stamps of neighbours.
class LearntDuration {
 public:
  // From one packet's time stamp to that of its neighbour. Counts if it is a duration that senders
  // use (a clock that wobbles has others), and if it is the first one or comes twice in a row.
  void add(std::int64_t step);
  int samples() const { return samples_; }

 private:
  int samples_ = slot_samples;
  std::int64_t last_ = 0;
};

// RFC 6716 s4.2.4: LBRR flags stand in front of the first SILK frame.
bool has_inband_fec(std::span<const std::uint8_t> payload);

}  // namespace earshot::listen
