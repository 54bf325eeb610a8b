#include "tools/listen/packet_window.h"

#include <algorithm>

namespace earshot::listen {
namespace {}  // namespace

Inserted PacketWindow::insert(const Packet& packet, std::int64_t arrival, std::int64_t transit_min,
                              BufferCounters& counters) {
  const std::size_t size = packet.payload.empty() ? packet.size : packet.payload.size();
  place_ = timeline_.place(arrival, packet.sequence, packet.timestamp, size <= silence_size_max,
                           transit_min);
  if (place_.kind == Timeline::Kind::stray) {
    ++counters.strays;
    return {Verdict::stray, 0};
  }
  if (place_.step > 0) duration_.add(place_.step);
  if (has_next_ && place_.sequence < next_) {
    ++counters.late;
    return {Verdict::late, 0};
  }
  if (held_[index(place_.sequence)].sequence == place_.sequence) {
    ++counters.duplicates;
    return {Verdict::duplicate, 0};
  }
  while (size_ > 0 && place_.sequence - first_ >= packets_max) {
    ++counters.overflowed;
    pop_front();
  }
  hold(packet, arrival);
  ++counters.accepted;
  const bool is_restart = place_.kind == Timeline::Kind::restarted;
  if (is_restart) ++counters.restarts;
  return {is_restart ? Verdict::restarted : Verdict::accepted,
          static_cast<std::uint32_t>(index(place_.sequence))};
}

void PacketWindow::hold(const Packet& packet, std::int64_t arrival) {
  const PacketFacts facts = facts_of(packet);
  held_[index(place_.sequence)] = {.sequence = place_.sequence,
                                   .media = place_.media,
                                   .arrival = arrival,
                                   .id = packet.id,
                                   .timestamp = packet.timestamp,
                                   .samples = facts.samples,
                                   .is_silence = facts.is_silence,
                                   .has_fec = facts.has_fec,
                                   .starts_spurt = place_.starts_spurt};
  first_ = size_ == 0 ? place_.sequence : std::min(first_, place_.sequence);
  last_ = size_ == 0 ? place_.sequence : std::max(last_, place_.sequence);
  ++size_;
}

void PacketWindow::pop_front() {
  held_[index(first_)].sequence = -1;
  has_next_ = true;
  next_ = first_ + 1;
  --size_;
  if (size_ == 0) return;
  // At most packets_max steps, and only over gaps.
  do {
    ++first_;
  } while (held_[index(first_)].sequence != first_);
}

std::int64_t PacketWindow::span() const {
  if (size_ == 0) return 0;
  const Held& last = held_[index(last_)];
  return std::max<std::int64_t>(last.media + samples_of(last) - front().media, 0);
}

}  // namespace earshot::listen
