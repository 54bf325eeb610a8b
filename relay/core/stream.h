// One RTP stream: extended sequence, loss, transit and jitter (RFC 3550 A.1, A.3, A.8), and
// duplicates. One owner thread; arrival times come in as arguments. It decides nothing but "seen
// before".
#pragma once

#include <array>
#include <cstdint>

#include "relay/base/time.h"

namespace earshot {

class Stream {
 public:
  // Same sequence and same time stamp within the last 128 packets.
  bool is_duplicate(std::uint16_t sequence, std::uint32_t timestamp) const;

  // Notes a packet that is no duplicate. `arrival_ticks` as rtp_ticks() has it.
  void on_packet(std::int64_t arrival_ticks, std::uint16_t sequence, std::uint32_t timestamp);
  void on_packet(Time arrival, std::uint16_t sequence, std::uint32_t timestamp) {
    on_packet(rtp_ticks(arrival), sequence, timestamp);
  }

  bool has_packets() const { return received_ > 0; }
  std::uint64_t received() const { return received_; }
  // Expected minus received since the last restart, never below zero.
  std::uint64_t lost() const;
  // Mean deviation of transit, 48 kHz ticks.
  std::uint32_t jitter_ticks() const { return jitter16_ / 16; }
  // Arrival minus RTP time of the last packet, 48 kHz ticks; its zero means nothing.
  std::int32_t transit() const { return transit_; }
  std::uint16_t highest_sequence() const { return static_cast<std::uint16_t>(highest_); }
  std::uint32_t highest_timestamp() const { return highest_timestamp_; }

 private:
  static constexpr std::size_t window = 128;
  // A step beyond this is a restart of the sender (RFC 3550 A.1: MAX_DROPOUT, MAX_MISORDER).
  static constexpr std::int32_t dropout_max = 3'000;
  static constexpr std::int32_t misorder_max = 100;

  void remember(std::uint16_t sequence, std::uint32_t timestamp);
  void restart(std::uint16_t sequence, std::uint32_t timestamp);

  // The last packets, in a ring, and how many of them have each low byte of a sequence number.
  std::array<std::uint16_t, window> sequences_{};
  std::array<std::uint32_t, window> timestamps_{};
  std::array<std::uint8_t, 256> with_low_byte_{};
  std::uint64_t highest_ = 0;  // extended
  std::uint64_t base_ = 0;     // extended sequence of the first packet since the last restart
  std::uint64_t received_since_base_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t lost_before_ = 0;
  std::uint32_t highest_timestamp_ = 0;
  std::int32_t transit_ = 0;
  std::uint32_t jitter16_ = 0;
};

}  // namespace earshot
