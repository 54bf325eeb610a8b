#include "tools/listen/never_skip_buffer.h"

namespace earshot::listen {
namespace {

// What takes longer is a pause.
constexpr std::int64_t interruption_max = 48'000;

}  // namespace

NeverSkipBuffer::NeverSkipBuffer(const BufferOptions& options) : options_(options) {}

Inserted NeverSkipBuffer::insert(const Packet& packet) {
  if (held_.empty()) held_.resize(packets_max());
  learn(packet);
  if (count_ == held_.size()) {
    ++counters_.overflowed;
    return {Verdict::overflow, 0};
  }
  const PacketFacts facts = facts_of(packet);
  const std::size_t place = place_of(count_);
  held_[place] = {packet.arrival, packet.id, packet.timestamp,
                  facts.samples != 0 ? facts.samples : duration_.samples(), facts.is_silence};
  queued_ += held_[place].samples;
  ++count_;
  ++counters_.accepted;
  return {Verdict::accepted, static_cast<std::uint32_t>(place)};
}

// How long a packet is that does not say: from the time stamps of neighbours.
void NeverSkipBuffer::learn(const Packet& packet) {
  const auto step = static_cast<std::int32_t>(packet.timestamp - timestamp_);
  const bool is_neighbour = static_cast<std::uint16_t>(packet.sequence - sequence_) == 1;
  if (has_packet_ && is_neighbour) duration_.add(step);
  has_packet_ = true;
  sequence_ = packet.sequence;
  timestamp_ = packet.timestamp;
}

bool NeverSkipBuffer::is_idle() const {
  const bool is_quiet = has_ended_ || waited_ >= interruption_max;
  return count_ == 0 && is_quiet && slot_.position() == 0;
}

Duration NeverSkipBuffer::level() const {
  return Duration{queued_ * 62'500 / 3};
}

void NeverSkipBuffer::play(Time now, Playout& out) {
  slot_.begin(out);
  const bool is_due = count_ > 0 && now - held_[first_].arrival >= options_.queue_delay;
  if (is_due && slot_.position() == 0) is_waiting_ = false;
  while (!slot_.is_full()) {
    if (count_ == 0) is_waiting_ = true;
    is_waiting_ ? wait() : play_front();
  }
  slot_.end();
}

void NeverSkipBuffer::play_front() {
  const Held& front = held_[first_];
  ++counters_.played;
  // Only now it is certain that the speaker had not just stopped.
  counters_.samples_interrupted += static_cast<std::uint64_t>(interrupted_);
  waited_ = 0;
  interrupted_ = 0;
  has_ended_ = front.is_silence;
  queued_ -= front.samples;
  slot_.add({.kind = Segment::Kind::frame,
             .samples = front.samples,
             .timestamp = front.timestamp,
             .packet = front.id,
             .place = static_cast<std::uint32_t>(first_)});
  first_ = place_of(1);
  --count_;
}

void NeverSkipBuffer::wait() {
  const int samples = slot_samples - slot_.position();
  waited_ += samples;
  const bool is_interruption = !has_ended_ && waited_ <= interruption_max;
  interrupted_ = is_interruption ? waited_ : 0;
  slot_.add({.kind = Segment::Kind::idle, .is_interruption = is_interruption, .samples = samples});
}

}  // namespace earshot::listen
