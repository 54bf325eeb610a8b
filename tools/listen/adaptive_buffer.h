// The jitter buffer of a conversation, of NetEQ's kind: as late as the network's jitter asks for,
// and no later for long. Any one thread. Time is stretched by whole steps of 10 ms; the audio side
// looks for the splice.
#pragma once

#include "tools/listen/delay_estimate.h"
#include "tools/listen/packet_window.h"
#include "tools/listen/slot_writer.h"

namespace earshot::listen {

class AdaptiveBuffer final : public JitterBuffer {
 public:
  explicit AdaptiveBuffer(const BufferOptions& options);

  Inserted insert(const Packet& packet) override;
  void play(Time now, Playout& out) override;

  bool is_idle() const override;
  Duration level() const override;
  Duration target() const override;
  std::size_t packets() const override { return window_.size(); }
  std::uint32_t packets_max() const override { return PacketWindow::packets_max; }

 private:
  std::int64_t target_ticks() const;
  std::int64_t delay(std::int64_t now) const;
  bool is_waited_for(std::int64_t now) const;
  void step(std::int64_t now);
  void play_overdue();
  void play_ahead(std::int64_t now, std::int64_t leap);
  void conceal(std::int64_t samples);
  void rest(bool is_interruption);
  bool skip_silence(std::int64_t now);
  void play_front(std::int64_t now);
  int stretch(std::int64_t now, int samples);
  void pop_front();

  BufferOptions options_;
  std::int64_t delay_min_, delay_max_, conceal_max_;
  PacketWindow window_;
  DelayEstimate estimate_;
  SlotWriter slot_;

  bool is_resting_ = true;        // until enough is there to begin
  bool has_ended_ = true;         // the speaker has come to an end
  std::int64_t rested_ = 0;       // samples since anything was heard
  std::int64_t interrupted_ = 0;  // of them in the middle of speech, as far as we know
  std::int64_t expected_ = 0;     // media time behind what was played last
  std::int64_t generated_ = 0;    // samples made up since then
  std::int64_t unstretched_ = 0;
};

}  // namespace earshot::listen
