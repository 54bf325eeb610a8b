#include "relay/core/stream.h"

#include <cstdlib>

namespace earshot {

bool Stream::is_duplicate(std::uint16_t sequence, std::uint32_t timestamp) const {
  const std::size_t i = sequence % window;
  return is_filled_[i] && sequences_[i] == sequence && timestamps_[i] == timestamp;
}

void Stream::on_packet(Time arrival, std::uint16_t sequence, std::uint32_t timestamp) {
  const std::size_t i = sequence % window;
  is_filled_[i] = true;
  sequences_[i] = sequence;
  timestamps_[i] = timestamp;

  const auto step = static_cast<std::int16_t>(sequence - static_cast<std::uint16_t>(highest_));
  const auto transit =
      static_cast<std::int32_t>(static_cast<std::uint32_t>(rtp_ticks(arrival)) - timestamp);
  if (!has_packets() || step > dropout_max || step < -misorder_max) {
    restart(sequence, timestamp);
  } else {
    if (step > 0) {
      highest_ += static_cast<std::uint64_t>(step);
      highest_timestamp_ = timestamp;
    } else if (highest_ - static_cast<std::uint64_t>(-step) < base_) {
      base_ = highest_ - static_cast<std::uint64_t>(-step);
    }
    // RFC 3550 A.8, with the estimate scaled by 16; unsigned, as transit wraps.
    const std::uint32_t d =
        static_cast<std::uint32_t>(std::abs(static_cast<std::int64_t>(static_cast<std::int32_t>(
            static_cast<std::uint32_t>(transit) - static_cast<std::uint32_t>(transit_)))));
    jitter16_ = jitter16_ + d - ((jitter16_ + 8) >> 4);
  }
  transit_ = transit;
  ++received_;
  ++received_since_base_;
}

void Stream::restart(std::uint16_t sequence, std::uint32_t timestamp) {
  lost_before_ = lost();
  // Room below for packets that the first one overtook.
  highest_ = base_ = (std::uint64_t{1} << 16) + sequence;
  highest_timestamp_ = timestamp;
  received_since_base_ = 0;
}

std::uint64_t Stream::lost() const {
  if (received_since_base_ == 0) return lost_before_;
  const std::uint64_t expected = highest_ - base_ + 1;
  return lost_before_ + (expected > received_since_base_ ? expected - received_since_base_ : 0);
}

}  // namespace earshot
