// One stream's two counters as one straight line: RFC 3550 A.1 for sequence numbers, and RTP time
// that jumps, stands still in pauses or begins anew turned into time that just runs. Any one
// thread. Keeps no packet.
#pragma once

#include <cstdint>

namespace earshot::listen {

class Timeline {
 public:
  // A packet that comes so many ticks later than expected, of those before it, is a new beginning
  // of its clock (adaptive players cannot buffer for it anyhow), not a late one.
  explicit Timeline(std::int64_t late_max) : late_max_(late_max) {}

  enum class Kind : std::uint8_t {
    next,       // newer than everything so far
    older,      // reordered, or a duplicate
    restarted,  // the second of a stream that began anew; treated as next
    stray,
  };
  struct Place {
    Kind kind = Kind::next;
    std::int64_t sequence = 0;  // never wraps; a stream that begins anew goes on counting
    std::int64_t media = 0;     // when it is to be heard, in ticks of 48 kHz
    std::int64_t transit = 0;   // arrival - media: RFC 3550 A.8
    // The first of a talk spurt: after silence, or after a pause in which RTP time ran.
    bool starts_spurt = false;
    // Since the packet before it, if that is its neighbour: how long that one lasts; else 0.
    std::int64_t step = 0;
  };

  // `arrival` in ticks. `transit_min`: the recent minimum of what place() said, the reference for
  // jumps.
  Place place(std::int64_t arrival, std::uint16_t sequence, std::uint32_t timestamp,
              bool is_silence, std::int64_t transit_min);

 private:
  Place begin(std::int64_t arrival, std::uint16_t sequence, std::uint32_t timestamp,
              bool is_silence);
  bool is_far(int sequence_step, std::int32_t time_step);
  Place restart(std::int64_t arrival, std::uint16_t sequence, std::uint32_t timestamp,
                bool is_silence, std::int64_t transit_min);
  Place advance(std::int64_t arrival, int sequence_step, std::int32_t time_step, bool is_silence,
                std::int64_t transit_min);
  Place look_back(std::int64_t arrival, int sequence_step, std::int32_t time_step) const;

  std::int64_t late_max_;
  bool has_packet_ = false;
  // Of the newest packet.
  std::uint16_t sequence_ = 0;
  std::uint32_t timestamp_ = 0;
  std::int64_t extended_ = 0;
  std::int64_t media_ = 0;
  std::int64_t transit_ = 0;
  bool is_silence_ = false;
  // The last jump: what is older has another offset.
  std::int64_t jump_sequence_ = INT64_MIN;
  std::int64_t jump_ = 0;

  bool has_stray_ = false;
  std::uint16_t stray_ = 0;
};

}  // namespace earshot::listen
