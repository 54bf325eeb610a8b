#include "tools/listen/fixed_buffer.h"

#include <algorithm>

namespace earshot::listen {
namespace {

// Nothing but late packets for a second: the path has become longer for good, and no spurt began
// that would have told.
constexpr std::int64_t anchor_silent_max = 48'000;
// What takes longer is a pause.
constexpr std::int64_t interruption_max = 48'000;
constexpr std::int64_t wobble_max = 480;  // 10 ms

std::int64_t ticks(Duration d) {
  return rtp_ticks(Time{d.ns});
}

}  // namespace

// However late, a packet is late: only silence or RTP time that runs backwards begins anew.
FixedBuffer::FixedBuffer(const BufferOptions& options)
    : options_(options),
      delay_(ticks(options.delay)),
      conceal_max_(ticks(options.conceal_max)),
      window_(INT64_MAX),
      estimate_(options.quantile, options.forget_factor) {}

Inserted FixedBuffer::insert(const Packet& packet) {
  const std::int64_t arrival = rtp_ticks(packet.arrival);
  const Inserted inserted = window_.insert(packet, arrival, estimate_.transit_min(), counters_);
  if (inserted.is_accepted()) estimate_.add(arrival, window_.last_place().transit);
  return inserted;
}

Duration FixedBuffer::level() const {
  return Duration{window_.span() * 62'500 / 3};
}

bool FixedBuffer::is_idle() const {
  const bool is_quiet = has_ended_ || rested_ >= interruption_max;
  return window_.size() == 0 && is_quiet && slot_.position() == 0;
}

void FixedBuffer::play(Time now, Playout& out) {
  slot_.begin(out);
  const std::int64_t ticks_now = rtp_ticks(now);
  discard_late(ticks_now);
  if (slot_.position() == 0) begin_spurt(ticks_now);
  while (!slot_.is_full()) {
    step(ticks_now);
    discard_late(ticks_now);
  }
  slot_.end();
}

void FixedBuffer::begin_spurt(std::int64_t now) {
  if (window_.size() == 0) return;
  const PacketWindow::Held& front = window_.front();
  if (has_anchor_ && !is_new_spurt(now)) return;
  if (now - front.arrival < delay_) return;
  has_anchor_ = true;
  begun_ = front.sequence;
  anchor_ = now - front.media;
  has_ended_ = false;
  last_played_ = now;
}

// Speech that goes on without a pause behind a silence frame keeps its time.
bool FixedBuffer::is_new_spurt(std::int64_t now) const {
  const PacketWindow::Held& front = window_.front();
  const bool is_pause = rested_ > 0 || front.media != media_now(now);
  return front.starts_spurt && front.sequence != begun_ && is_pause;
}

// The first of a spurt is never late: it makes the time.
void FixedBuffer::discard_late(std::int64_t now) {
  while (has_anchor_ && window_.size() > 0) {
    const PacketWindow::Held& front = window_.front();
    const bool is_late = front.media + window_.samples_of(front) <= media_now(now);
    if (!is_late || front.starts_spurt) return;
    if (now - last_played_ >= anchor_silent_max) {
      has_anchor_ = false;
      return;
    }
    ++counters_.late;
    has_ended_ = front.is_silence;
    window_.pop_front();
  }
}

void FixedBuffer::step(std::int64_t now) {
  if (!has_anchor_) return rest();
  const std::int64_t spent = generated_ + rested_;
  if (window_.size() == 0) {
    if (has_ended_ || spent >= conceal_max_) return rest();
    return play_missing(slot_samples - slot_.position());
  }
  const PacketWindow::Held& front = window_.front();
  const std::int64_t missing = front.media - media_now(now);
  if (is_new_spurt(now)) {
    has_ended_ = true;
    return rest();
  }
  // Of neighbours a small step is a sender that tells time by its own clock.
  const bool is_close = window_.is_next() && !has_ended_ && missing <= wobble_max;
  if (missing <= 0 || is_close) return play_front(now);
  if (has_ended_ || spent >= conceal_max_) return rest();
  play_missing(missing);
}

void FixedBuffer::play_missing(std::int64_t missing) {
  Segment segment{.kind = Segment::Kind::concealed};
  segment.samples = static_cast<int>(std::min<std::int64_t>((missing + 119) / 120 * 120, 960));
  if (window_.size() > 0) {
    const PacketWindow::Held& front = window_.front();
    const int samples = window_.samples_of(front);
    const bool has_fec = options_.uses_fec && front.has_fec;
    if (has_fec && missing > samples) {
      const std::int64_t before = (missing - samples + 119) / 120 * 120;
      segment.samples = static_cast<int>(std::min<std::int64_t>(segment.samples, before));
    } else if (has_fec && missing == samples) {
      segment = {.kind = Segment::Kind::fec,
                 .samples = samples,
                 .timestamp = front.timestamp,
                 .packet = front.id,
                 .place = window_.place_of(front)};
    }
  }
  generated_ += segment.samples;
  if (segment.kind == Segment::Kind::fec) ++counters_.fec;
  if (segment.kind == Segment::Kind::concealed) {
    counters_.samples_concealed += static_cast<std::uint64_t>(segment.samples);
  }
  slot_.add(segment);
}

void FixedBuffer::rest() {
  const int samples = slot_samples - slot_.position();
  rested_ += samples;
  const bool is_interruption = !has_ended_ && rested_ <= interruption_max;
  interrupted_ = is_interruption ? rested_ : 0;
  slot_.add({.kind = Segment::Kind::idle, .is_interruption = is_interruption, .samples = samples});
}

void FixedBuffer::play_front(std::int64_t now) {
  const PacketWindow::Held& front = window_.front();
  ++counters_.played;
  last_played_ = now;
  generated_ = 0;
  // Only now it is certain that the speaker had not just stopped.
  counters_.samples_interrupted += static_cast<std::uint64_t>(interrupted_);
  rested_ = 0;
  interrupted_ = 0;
  slot_.add({.kind = Segment::Kind::frame,
             .samples = window_.samples_of(front),
             .timestamp = front.timestamp,
             .packet = front.id,
             .place = window_.place_of(front)});
  has_ended_ = front.is_silence;
  window_.pop_front();
}

}  // namespace earshot::listen
