// A jitter buffer with one delay for a whole talk spurt: that of its first packet and a constant.
// What comes later than its time is not played, what is missing then is concealed. Any one thread.
#pragma once

#include "tools/listen/delay_estimate.h"
#include "tools/listen/packet_window.h"
#include "tools/listen/slot_writer.h"

namespace earshot::listen {

class FixedBuffer final : public JitterBuffer {
 public:
  explicit FixedBuffer(const BufferOptions& options);

  Inserted insert(const Packet& packet) override;
  void play(Time now, Playout& out) override;

  bool is_idle() const override;
  Duration level() const override;
  Duration target() const override { return options_.delay; }
  std::size_t packets() const override { return window_.size(); }
  std::uint32_t packets_max() const override { return PacketWindow::packets_max; }

 private:
  std::int64_t media_now(std::int64_t now) const { return now + slot_.position() - anchor_; }
  void begin_spurt(std::int64_t now);
  bool is_new_spurt(std::int64_t now) const;
  void discard_late(std::int64_t now);
  void step(std::int64_t now);
  void play_missing(std::int64_t missing);
  void rest();
  void play_front(std::int64_t now);

  BufferOptions options_;
  std::int64_t delay_, conceal_max_;
  PacketWindow window_;
  // Only for the fastest packet: what RTP time is compared with when it jumps.
  DelayEstimate estimate_;
  SlotWriter slot_;

  bool has_anchor_ = false;
  std::int64_t anchor_ = 0;  // when media time 0 is played
  std::int64_t begun_ = -1;  // the packet that began the talk spurt
  bool has_ended_ = true;    // the speaker has come to an end
  std::int64_t generated_ = 0;
  std::int64_t rested_ = 0;       // samples since anything was heard
  std::int64_t interrupted_ = 0;  // of them in the middle of speech, as far as we know
  std::int64_t last_played_ = 0;
};

}  // namespace earshot::listen
