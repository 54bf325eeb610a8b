#include "relay/core/stream.h"

#include <cstdlib>

namespace earshot {

// A table by sequence number would be faster and wrong: a packet stays in it until its place is
// taken, however long ago it came, so that a sender that begins again with its first numbers would
// be silent for as long as it had spoken.
bool Stream::is_duplicate(std::uint16_t sequence, std::uint32_t timestamp) const {
  // None of them in the usual case: the next number of a sender that counts on.
  if (with_low_byte_[sequence & 0xFF] == 0) return false;
  const std::size_t count = received_ < window ? static_cast<std::size_t>(received_) : window;
  for (std::size_t i = 0; i < count; ++i) {
    if (sequences_[i] == sequence && timestamps_[i] == timestamp) return true;
  }
  return false;
}

void Stream::remember(std::uint16_t sequence, std::uint32_t timestamp) {
  const std::size_t at = received_ % window;
  if (received_ >= window) --with_low_byte_[sequences_[at] & 0xFF];
  ++with_low_byte_[sequence & 0xFF];
  sequences_[at] = sequence;
  timestamps_[at] = timestamp;
}

void Stream::on_packet(std::int64_t arrival_ticks, std::uint16_t sequence,
                       std::uint32_t timestamp) {
  remember(sequence, timestamp);
  const auto step = static_cast<std::int16_t>(sequence - static_cast<std::uint16_t>(highest_));
  const auto transit =
      static_cast<std::int32_t>(static_cast<std::uint32_t>(arrival_ticks) - timestamp);
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
