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

// RFC 6716 s4.2.4: LBRR flags stand in front of the first SILK frame.
bool has_inband_fec(std::span<const std::uint8_t> payload);

}  // namespace earshot::listen
