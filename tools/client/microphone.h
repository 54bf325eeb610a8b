// Speech from a microphone, as 20 ms Opus packets while its gate is open. The sound card's thread
// puts samples in with capture(), which neither locks nor allocates; all else is for the loop
// thread. Holds no device: whoever has one feeds it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "codec/opus.h"
#include "codec/stream_resampler.h"
#include "relay/base/time.h"
#include "tools/client/level_control.h"
#include "tools/client/level_meter.h"
#include "tools/client/sample_ring.h"
#include "tools/client/talk_gate.h"

namespace earshot::client {

struct MicrophoneCounters {
  std::uint64_t overflowed = 0;      // samples that found no room
  std::uint64_t starved = 0;         // frames that were not there in time
  std::uint64_t taken_out = 0;       // single samples, against drift
  std::uint64_t put_in = 0;          // the same
  std::uint64_t frames_skipped = 0;  // to get back to a short delay
};

class Microphone {
 public:
  // The gate must outlive it.
  Microphone(int device_rate, TalkGate& gate);

  // The sound card's thread only.
  void capture(std::span<const std::int16_t> samples);

  // Every 20 ms: a packet while the gate is open. `others_level` is that of what is played.
  std::optional<std::vector<std::uint8_t>> next(Time now, double others_level);

  // Of the microphone, whether or not it is open.
  const LevelMeter& meter() const { return meter_; }
  MicrophoneCounters counters() const;

 private:
  void fill();
  bool take_frame();
  void correct(std::size_t grain);

  TalkGate& gate_;
  std::size_t device_rate_;
  SampleRing ring_;
  GrainMeter grain_;
  std::atomic<std::uint64_t> overflowed_{0};

  codec::StreamResampler resampler_;
  std::vector<std::int16_t> raw_, waiting_, frame_;
  bool is_filled_ = false;  // enough was there to start with
  LevelControl level_control_;
  LevelMeter meter_;
  codec::Encoder encoder_;
  bool was_open_ = false;
  MicrophoneCounters counters_;
};

}  // namespace earshot::client
