#include "tools/listen/adaptive_buffer.h"

#include <algorithm>

namespace earshot::listen {
namespace {

constexpr std::int64_t ticks_per_ms = 48;
// A later packet is no jitter that anybody would wait for.
constexpr std::int64_t late_max = 500 * ticks_per_ms;
// Stretching is not exact: so much above the target is left alone.
constexpr std::int64_t slack = 20 * ticks_per_ms;
// So many times the upper limit is no time to be gentle.
constexpr std::int64_t fast_factor = 4;
// 10 ms, one to three periods of most voices; and of how much audio it may be: 10 % or 25 %.
constexpr int stretch_step = 480;
constexpr int gentle_audio = 10;
constexpr int fast_audio = 4;
// Still so much above the target without what a gap lost: its time is not made up for.
constexpr std::int64_t skip_over = 50 * ticks_per_ms;
constexpr std::int64_t wobble_max = 20 * ticks_per_ms;
// What takes longer is a pause.
constexpr std::int64_t interruption_max = 1'000 * ticks_per_ms;

std::int64_t ticks(Duration d) {
  return rtp_ticks(Time{d.ns});
}

Duration duration(std::int64_t ticks) {
  return Duration{ticks * 62'500 / 3};
}

}  // namespace

AdaptiveBuffer::AdaptiveBuffer(const BufferOptions& options)
    : options_(options),
      delay_min_(ticks(options.delay_min)),
      delay_max_(std::max(ticks(options.delay_max), delay_min_)),
      conceal_max_(ticks(options.conceal_max)),
      window_(late_max),
      estimate_(options.quantile, options.forget_factor) {}

Inserted AdaptiveBuffer::insert(const Packet& packet) {
  const std::int64_t arrival = rtp_ticks(packet.arrival);
  const Inserted inserted = window_.insert(packet, arrival, estimate_.transit_min(), counters_);
  // What came too late says most about how long to wait.
  const bool is_telling = inserted.is_accepted() || inserted.verdict == Verdict::late;
  if (is_telling) estimate_.add(arrival, window_.last_place().transit);
  return inserted;
}

std::int64_t AdaptiveBuffer::target_ticks() const {
  return std::clamp(estimate_.target(), delay_min_, delay_max_);
}

Duration AdaptiveBuffer::target() const {
  return duration(target_ticks());
}

Duration AdaptiveBuffer::level() const {
  return duration(window_.span());
}

bool AdaptiveBuffer::is_idle() const {
  const bool is_quiet = has_ended_ || rested_ >= interruption_max;
  return window_.size() == 0 && is_resting_ && is_quiet && slot_.position() == 0;
}

// If the front packet were played next: against the fastest packet, had it been played at once.
std::int64_t AdaptiveBuffer::delay(std::int64_t now) const {
  return now + slot_.position() - window_.front().media - estimate_.transit_min();
}

void AdaptiveBuffer::play(Time now, Playout& out) {
  slot_.begin(out);
  const std::int64_t ticks_now = rtp_ticks(now);
  if (is_resting_ && slot_.position() == 0 && is_waited_for(ticks_now)) {
    is_resting_ = false;
    generated_ = 0;
    expected_ = window_.front().media;
  }
  while (!slot_.is_full()) step(ticks_now);
  slot_.end();
}

bool AdaptiveBuffer::is_waited_for(std::int64_t now) const {
  return window_.size() > 0 && delay(now) >= target_ticks();
}

void AdaptiveBuffer::step(std::int64_t now) {
  if (is_resting_) return rest(!has_ended_);
  if (window_.size() == 0) return play_overdue();
  const std::int64_t leap = window_.front().media - expected_;
  // Of neighbours a small step is a sender that tells time by its own clock.
  const bool is_close = window_.is_next() && !has_ended_ && leap <= wobble_max;
  if (leap > 0 && leap > generated_ && !is_close) return play_ahead(now, leap);
  if (!skip_silence(now)) play_front(now);
}

// Nothing is there.
void AdaptiveBuffer::play_overdue() {
  if (has_ended_ || generated_ >= conceal_max_) {
    is_resting_ = true;
    return rest(!has_ended_);
  }
  conceal(slot_samples - slot_.position());
}

// Something is there, but not what should be next.
void AdaptiveBuffer::play_ahead(std::int64_t now, std::int64_t leap) {
  const bool is_pause = has_ended_ || window_.is_next();
  // There is enough behind the gap: not making up for it brings the delay down.
  const bool is_too_late = delay(now) > target_ticks() + skip_over;
  if (is_too_late && !is_pause) return play_front(now);
  if (is_pause) has_ended_ = true;
  if (is_pause || generated_ >= conceal_max_) {
    is_resting_ = true;
    return rest(!has_ended_);
  }
  const PacketWindow::Held& front = window_.front();
  const int samples = window_.samples_of(front);
  const std::int64_t missing = leap - generated_;
  const bool has_fec = options_.uses_fec && front.has_fec && missing >= samples;
  if (!has_fec) return conceal(std::min<std::int64_t>(missing, samples));
  if (missing > samples) return conceal(std::min<std::int64_t>(missing - samples, samples));
  ++counters_.fec;
  generated_ += samples;
  slot_.add({.kind = Segment::Kind::fec,
             .samples = samples,
             .timestamp = front.timestamp,
             .packet = front.id,
             .place = window_.place_of(front)});
}

void AdaptiveBuffer::conceal(std::int64_t samples) {
  // libopus conceals in steps of 2.5 ms.
  const auto whole = static_cast<int>((samples + 119) / 120 * 120);
  generated_ += whole;
  counters_.samples_concealed += static_cast<std::uint64_t>(whole);
  slot_.add({.kind = Segment::Kind::concealed, .samples = whole});
}

void AdaptiveBuffer::rest(bool is_interruption) {
  const int samples = slot_samples - slot_.position();
  rested_ += samples;
  const bool is_told = is_interruption && rested_ <= interruption_max;
  interrupted_ = is_told ? rested_ : 0;
  slot_.add({.kind = Segment::Kind::idle, .is_interruption = is_told, .samples = samples});
}

// Nobody misses silence, if that brings the delay down.
bool AdaptiveBuffer::skip_silence(std::int64_t now) {
  const bool is_worth_it = window_.front().is_silence && delay(now) >= target_ticks() + slack;
  if (!is_worth_it) return false;
  ++counters_.silence_skipped;
  pop_front();
  return true;
}

void AdaptiveBuffer::play_front(std::int64_t now) {
  const PacketWindow::Held front = window_.front();
  const int samples = window_.samples_of(front);
  // What is made up next to it would be stretched with it.
  const bool is_stretchable = generated_ == 0 && !front.is_silence;
  const int stretched = is_stretchable ? stretch(now, samples) : 0;
  if (stretched < 0) counters_.samples_taken_out += static_cast<std::uint64_t>(-stretched);
  if (stretched > 0) counters_.samples_put_in += static_cast<std::uint64_t>(stretched);
  ++counters_.played;
  slot_.add({.kind = Segment::Kind::frame,
             .samples = samples + stretched,
             .stretched = stretched,
             .timestamp = front.timestamp,
             .packet = front.id,
             .place = window_.place_of(front)});
  pop_front();
}

// By how many samples. The upper limit rises with the latest packet of the last two seconds: a
// backlog that just came may be the first of many, and a path that became longer is no delay of
// ours, which shows by then.
int AdaptiveBuffer::stretch(std::int64_t now, int samples) {
  const std::int64_t late = delay(now);
  const std::int64_t low = target_ticks();
  const std::int64_t high = low + estimate_.delay_max() + slack;
  const int step = std::min(stretch_step, samples / 240 * 120);
  unstretched_ += samples;
  const bool is_fast = late >= high * fast_factor;
  if (step == 0 || unstretched_ < step * (is_fast ? fast_audio : gentle_audio)) return 0;
  const bool is_right = late >= low && late < high;
  if (is_right) return 0;
  unstretched_ = 0;
  return late < low ? step : -step;
}

void AdaptiveBuffer::pop_front() {
  const PacketWindow::Held& front = window_.front();
  expected_ = front.media + window_.samples_of(front);
  has_ended_ = front.is_silence;
  generated_ = 0;
  // Only now it is certain that the speaker had not just stopped.
  counters_.samples_interrupted += static_cast<std::uint64_t>(interrupted_);
  rested_ = 0;
  interrupted_ = 0;
  window_.pop_front();
}

}  // namespace earshot::listen
