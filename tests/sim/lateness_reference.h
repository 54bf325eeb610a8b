// The late-frame policy a second time, written from its description alone, to judge the one in
// relay/core/lateness.h. Plain and slow: the terms of the description under their own names. One
// thread, pure over its state.
#pragma once

#include <cstdint>

namespace earshot::sim {

class LatenessReference {
 public:
  // 48 kHz ticks; `is_small`: at most three bytes of payload. True: drop it. A bound of 0 is off:
  // nothing is dropped, and the state runs on as with 200.
  bool is_late(std::int64_t at, std::uint16_t sequence, std::uint32_t timestamp, bool is_small,
               std::uint16_t late_ms_max);

 private:
  void rebase(std::int64_t at, std::int64_t transit);
  void restart(std::int64_t at, std::uint16_t sequence, std::uint32_t timestamp, bool is_small);
  // Of a packet that is late although it is the newest of its stream.
  bool is_in_backlog(std::int64_t at, std::int64_t transit, std::int64_t gap,
                     std::int64_t media_step, std::int64_t lateness);

  bool has_packets_ = false;
  std::uint16_t sequence_ = 0;       // of the newest packet
  std::uint32_t timestamp_ = 0;      // of the same
  std::int64_t extended_ = 0;        // its time stamp without wraps
  std::int64_t last_at_ = 0;         // when it came
  bool was_small_ = false;           // it was silence
  std::int64_t minimum_ = 0;         // of transit, in this half of the window
  std::int64_t minimum_before_ = 0;  // in the half before
  std::int64_t half_began_ = 0;
  std::int64_t mean64_ = 0;  // mean lateness, times 64
  bool is_in_burst_ = false;
  std::int64_t burst_wall_ = 0;   // what has passed since the head of the burst
  std::int64_t burst_media_ = 0;  // and what of the sender's time came in it
};

}  // namespace earshot::sim
