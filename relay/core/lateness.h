// The place of the late-frame policy in a packet's life: keep or drop, from arrival, sequence and
// time stamp alone. One owner thread, pure over its state. Today every packet is kept: the policy
// is not written yet (README, "Status").
#pragma once

#include <cstdint>

#include "relay/base/time.h"

namespace earshot {

// What the policy may know of a packet. It never sees payload bytes, only whether there are more
// than three of them (silence and DTX are that small).
struct LatenessInput {
  std::int64_t arrival_ticks = 0;  // 48 kHz
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  bool is_small = false;
};

enum class LatenessVerdict : std::uint8_t { keep, drop };

// Per stream.
struct LatenessState {
  std::uint64_t judged = 0;
};

inline LatenessVerdict lateness(LatenessState& state, [[maybe_unused]] const LatenessInput& in,
                                [[maybe_unused]] std::uint16_t late_ms_max) {
  ++state.judged;
  return LatenessVerdict::keep;
}

}  // namespace earshot
