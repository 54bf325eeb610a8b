// What is heard, on its way to a loudspeaker: 20 ms at a time in, whatever the sound card asks for
// out. The card's thread calls play(), which neither locks nor allocates; all else is for the loop
// thread. Holds no device: whoever has one asks for samples.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/stream_resampler.h"
#include "tools/client/level_control.h"
#include "tools/client/sample_ring.h"

namespace earshot::client {

struct LoudspeakerCounters {
  std::uint64_t overflowed = 0;      // samples that found no room: the card stands still
  std::uint64_t starved = 0;         // times that the card found too little
  std::uint64_t taken_out = 0;       // single samples, against drift
  std::uint64_t put_in = 0;          // the same
  std::uint64_t frames_skipped = 0;  // to get back to a short delay
};

class Loudspeaker {
 public:
  explicit Loudspeaker(int device_rate);

  // The sound card's thread only. Silence where there is nothing.
  void play(std::span<std::int16_t> out);

  // 20 ms at 48 kHz.
  void write(std::span<const std::int16_t> frame);
  // From now on silence is played instead of what is there; at once, also for what was written
  // before.
  void mute(bool is_muted) { is_muted_.store(is_muted, std::memory_order_relaxed); }

  // Samples at 48 kHz between the two ends: what is heard is that old, and the card's own delay.
  std::size_t level() const;
  LoudspeakerCounters counters() const;

 private:
  void skip(std::size_t samples, std::span<std::int16_t> scratch);
  bool correct();
  std::size_t to_device(std::int64_t samples) const;

  std::size_t device_rate_;
  SampleRing ring_;
  GrainMeter grain_;
  // Device samples that must be there to begin; one writer, and nothing hangs on its order.
  std::atomic<std::size_t> start_level_;
  std::atomic<std::uint64_t> starved_{0};
  // Nothing hangs on its order: the next period is early enough.
  std::atomic<bool> is_muted_{false};

  std::atomic<bool> is_playing_{false};
  // The card's thread's own.
  float gain_ = 1.0F;

  codec::StreamResampler resampler_;
  LevelControl level_control_;
  std::uint64_t skips_left_ = 0;  // frames to leave out
  std::vector<std::int16_t> frame_, converted_;
  LoudspeakerCounters counters_;
};

}  // namespace earshot::client
