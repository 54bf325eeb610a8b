// The packets of one stream that wait for their turn, in order of their sequence numbers, on a
// timeline without jumps. Any one thread. Allocates once; decides nothing about when to play.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/listen/buffer.h"
#include "tools/listen/packet_facts.h"
#include "tools/listen/timeline.h"

namespace earshot::listen {

class PacketWindow {
 public:
  // 5 s of 20 ms packets. More than reordering (Timeline) by far: a place is never taken twice.
  static constexpr std::uint32_t packets_max = 256;

  struct Held {
    std::int64_t sequence = -1;  // below zero: nothing
    std::int64_t media = 0;
    std::int64_t arrival = 0;
    std::uint64_t id = 0;
    std::uint32_t timestamp = 0;
    std::int32_t samples = 0;  // 0: nobody knows
    bool is_silence = false;
    bool has_fec = false;
    bool starts_spurt = false;
  };

  explicit PacketWindow(std::int64_t late_max) : timeline_(late_max), held_(packets_max) {}

  // `arrival` in ticks. What it refuses and throws away is counted.
  Inserted insert(const Packet& packet, std::int64_t arrival, std::int64_t transit_min,
                  BufferCounters& counters);
  // Where the last packet belongs, also if it was too late.
  const Timeline::Place& last_place() const { return place_; }

  std::size_t size() const { return size_; }
  // Only if size() is above zero.
  const Held& front() const { return held_[index(first_)]; }
  void pop_front();
  // Whether front() is the neighbour of what was popped last.
  bool is_next() const { return !has_next_ || first_ == next_; }

  int samples_of(const Held& held) const {
    return held.samples != 0 ? held.samples : duration_.samples();
  }
  std::uint32_t place_of(const Held& held) const {
    return static_cast<std::uint32_t>(index(held.sequence));
  }
  // From the first sample of the first packet to the last of the last.
  std::int64_t span() const;

 private:
  static std::size_t index(std::int64_t sequence) {
    return static_cast<std::size_t>(sequence & (packets_max - 1));
  }
  void hold(const Packet& packet, std::int64_t arrival);

  Timeline timeline_;
  Timeline::Place place_;
  std::vector<Held> held_;
  std::size_t size_ = 0;
  std::int64_t first_ = 0;  // of those held
  std::int64_t last_ = 0;
  bool has_next_ = false;
  std::int64_t next_ = 0;    // one behind what was popped last
  LearntDuration duration_;  // of a packet that does not say
};

}  // namespace earshot::listen
