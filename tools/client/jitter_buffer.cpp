#include "tools/client/jitter_buffer.h"

#include <algorithm>
#include <utility>

namespace earshot::client {
namespace {

constexpr Duration frame_time = milliseconds(20);
// RFC 3550 A.1: what is further away is another stream, if the next packet agrees.
constexpr std::int64_t dropout_max = 3'000;
constexpr std::int64_t misorder_max = 100;
// Two seconds; more than any delay we allow.
constexpr std::size_t frames_max = 100;
// Concealment is pleasant for about this long; a longer gap is jumped over.
constexpr int concealed_frames_max = 5;
constexpr std::int64_t gap_frames_max = 10;
// A transit that changed by more is a pause, a jump or another path, not jitter.
constexpr Duration transit_jump = milliseconds(500);
// Pops over which the shortest queue is looked for before one frame is skipped: one second.
constexpr int depth_window = 50;

// Opus at rest: silence frames (3 bytes) and DTX.
bool is_silence(const std::vector<std::uint8_t>& frame) {
  return frame.size() <= 3;
}

}  // namespace

Duration JitterBuffer::target_delay() const {
  return std::clamp(options_.delay_min + excess_peak_, options_.delay_min, options_.delay_max);
}

std::int64_t JitterBuffer::unwrap(std::uint16_t sequence) const {
  const auto difference =
      static_cast<std::int16_t>(sequence - static_cast<std::uint16_t>(newest_ & 0xFFFF));
  return newest_ + difference;
}

void JitterBuffer::observe(Time arrival, std::uint32_t timestamp) {
  ticks_ += static_cast<std::int32_t>(timestamp - timestamp_);
  timestamp_ = timestamp;
  // 48 ticks are a millisecond.
  const Duration transit{arrival.ns - ticks_ * 1'000'000 / 48};
  const Duration excess = transit - transit_min_;
  if (!has_transit_ || excess > transit_jump || excess < Duration{-transit_jump.ns}) {
    has_transit_ = true;
    transit_min_ = transit;
    return;
  }
  if (excess < Duration{}) {
    transit_min_ = transit;
  } else {
    // Follows a path that became longer, in some ten seconds.
    transit_min_ = transit_min_ + excess / 512;
  }
  // The peak is forgotten by half in about ten seconds of speech.
  excess_peak_ = std::max(excess_peak_ - excess_peak_ / 700, excess);
}

JitterBuffer::Verdict JitterBuffer::insert(Time arrival, std::uint16_t sequence,
                                           std::uint32_t timestamp,
                                           std::span<const std::uint8_t> frame) {
  Verdict verdict = Verdict::accepted;
  std::int64_t extended = has_sequence_ ? unwrap(sequence) : sequence;
  const std::int64_t step = extended - newest_;
  if (has_sequence_ && (step > dropout_max || step < -misorder_max)) {
    const bool is_second = has_stray_ && sequence == static_cast<std::uint16_t>(stray_ + 1);
    has_stray_ = true;
    stray_ = sequence;
    if (!is_second) return Verdict::late;
    frames_.clear();
    has_played_ = is_playing_ = has_transit_ = false;
    extended = sequence;
    newest_ = extended;
    verdict = Verdict::restarted;
  }
  has_stray_ = false;
  if (has_played_ && extended < next_) return Verdict::late;
  const auto [it, is_new] = frames_.try_emplace(extended);
  if (!is_new) return Verdict::duplicate;
  it->second = {arrival, {frame.begin(), frame.end()}};
  newest_ = has_sequence_ ? std::max(newest_, extended) : extended;
  has_sequence_ = true;
  observe(arrival, timestamp);
  if (frames_.size() > frames_max) {
    next_ = frames_.begin()->first + 1;
    has_played_ = true;
    frames_.erase(frames_.begin());
    ++skipped_;
  }
  return verdict;
}

bool JitterBuffer::is_ready(Time now) const {
  if (frames_.empty()) return false;
  const Duration target = target_delay();
  return now - frames_.begin()->second.arrival >= target ||
         frame_time * static_cast<std::int64_t>(frames_.size()) > target + frame_time;
}

JitterBuffer::Playout JitterBuffer::pop(Time now) {
  if (!is_playing_) {
    if (!is_ready(now)) return {};
    is_playing_ = true;
    has_played_ = true;
    next_ = frames_.begin()->first;
    depth_pops_ = 0;
  }
  if (frames_.empty()) return pop_empty();
  empty_pops_ = 0;
  const std::int64_t gap = frames_.begin()->first - next_;
  if (gap > gap_frames_max) next_ += gap;
  if (frames_.begin()->first == next_) return take_front();
  ++next_;
  return {Kind::missing, {}};
}

JitterBuffer::Playout JitterBuffer::pop_empty() {
  if (!is_spurt_over_ && ++empty_pops_ <= concealed_frames_max) return {Kind::waiting, {}};
  is_playing_ = false;
  empty_pops_ = 0;
  return {};
}

JitterBuffer::Playout JitterBuffer::take_front() {
  shorten();
  Playout playout{Kind::frame, std::move(frames_.begin()->second.bytes)};
  next_ = frames_.begin()->first + 1;
  frames_.erase(frames_.begin());
  is_spurt_over_ = is_silence(playout.frame);
  return playout;
}

// The queue's shortest length over a second is delay that jitter does not ask for.
void JitterBuffer::shorten() {
  depth_min_ = depth_pops_ == 0 ? frames_.size() : std::min(depth_min_, frames_.size());
  if (++depth_pops_ < depth_window) return;
  depth_pops_ = 0;
  const Duration depth = frame_time * static_cast<std::int64_t>(depth_min_);
  if (depth <= target_delay() + frame_time * 2 || frames_.size() < 2) return;
  frames_.erase(frames_.begin());
  ++skipped_;
}

}  // namespace earshot::client
