// The player that many bots have: a queue that plays every packet it gets, in the order in which it
// got them. It conceals nothing: what is missing is left out, what is overdue is waited for, and so
// its delay only grows, until a pause drains the queue. Any one thread.
#pragma once

#include <vector>

#include "tools/listen/packet_facts.h"
#include "tools/listen/slot_writer.h"

namespace earshot::listen {

class NeverSkipBuffer final : public JitterBuffer {
 public:
  explicit NeverSkipBuffer(const BufferOptions& options);

  Inserted insert(const Packet& packet) override;
  void play(Time now, Playout& out) override;

  bool is_idle() const override;
  Duration level() const override;
  Duration target() const override { return options_.queue_delay; }
  std::size_t packets() const override { return count_; }
  // 82 s of 20 ms packets.
  std::uint32_t packets_max() const override { return 4'096; }

 private:
  struct Held {
    Time arrival;
    std::uint64_t id = 0;
    std::uint32_t timestamp = 0;
    std::int32_t samples = 0;
    bool is_silence = false;
  };

  std::size_t place_of(std::size_t position) const { return (first_ + position) % held_.size(); }
  void learn(const Packet& packet);
  void play_front();
  void wait();

  BufferOptions options_;
  std::vector<Held> held_;  // a ring; made by the first packet
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::int64_t queued_ = 0;  // samples
  SlotWriter slot_;
  bool is_waiting_ = true;
  bool has_ended_ = true;
  std::int64_t waited_ = 0;       // samples since anything was heard
  std::int64_t interrupted_ = 0;  // of them in the middle of speech, as far as we know

  bool has_packet_ = false;
  std::uint16_t sequence_ = 0;
  std::uint32_t timestamp_ = 0;
  LearntDuration duration_;  // of a packet that does not say
};

}  // namespace earshot::listen
