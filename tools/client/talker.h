// Decides what a speaking client sends in each 20 ms: frames, the five silence frames that end
// speech, and when it says that it speaks. Any one thread; sans-IO: asked every 20 ms, it owns no
// socket and no clock.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tools/client/frame_source.h"

namespace earshot::client {

class Talker {
 public:
  struct Packet {
    std::uint16_t sequence = 0;
    std::uint32_t timestamp = 0;
    std::vector<std::uint8_t> frame;
  };
  struct Step {
    std::optional<bool> speaking;  // tell the relay, before the packet is sent
    std::optional<Packet> packet;
    // Behind the packet: speech has ended.
    bool has_ended = false;
  };

  // The first sequence number and time stamp are arbitrary (RFC 3550 s5.1).
  Talker(std::uint16_t sequence, std::uint32_t timestamp)
      : sequence_(sequence), timestamp_(timestamp) {}

  void play(std::unique_ptr<FrameSource> source) { source_ = std::move(source); }
  // All was said, silence frames included.
  bool is_finished() const { return !is_speaking_ && (!source_ || source_->is_finished()); }
  bool is_speaking() const { return is_speaking_; }

  // Call every 20 ms.
  Step tick();
  // Time that went by without a tick.
  void skip(std::uint32_t ticks);
  // A new session hears of our speaking afresh.
  void forget_session() { is_speaking_ = false; }

 private:
  Packet make_packet(std::vector<std::uint8_t> frame);

  std::unique_ptr<FrameSource> source_;
  std::uint16_t sequence_;
  std::uint32_t timestamp_;
  bool is_speaking_ = false;
  int silence_left_ = 0;
};

}  // namespace earshot::client
