#include "tests/sim/lateness_reference.h"

#include <algorithm>

namespace earshot::sim {
namespace {

constexpr std::int64_t ticks_per_ms = 48;
constexpr std::int64_t jump = 40 * ticks_per_ms;
constexpr std::int64_t verdict_after = 15 * ticks_per_ms;
constexpr std::int64_t drain_ratio = 4;
constexpr std::int64_t window = 10'000 * ticks_per_ms;
constexpr std::int64_t forget_after = 60'000 * ticks_per_ms;
constexpr std::int64_t cap = 10'000 * ticks_per_ms;

}  // namespace

void LatenessReference::rebase(std::int64_t at, std::int64_t transit) {
  minimum_ = minimum_before_ = transit;
  half_began_ = at;
  is_in_burst_ = false;
}

void LatenessReference::restart(std::int64_t at, std::uint16_t sequence, std::uint32_t timestamp,
                                bool is_small) {
  *this = {};
  has_packets_ = true;
  sequence_ = sequence;
  timestamp_ = timestamp;
  extended_ = timestamp;
  last_at_ = at;
  was_small_ = is_small;
  rebase(at, at - extended_);
}

bool LatenessReference::is_late(std::int64_t at, std::uint16_t sequence, std::uint32_t timestamp,
                                bool is_small, std::uint16_t late_ms_max) {
  const bool is_off = late_ms_max == 0;
  const std::int64_t budget = (is_off ? 200 : late_ms_max) * ticks_per_ms;
  const auto step = static_cast<std::int16_t>(static_cast<std::uint16_t>(sequence - sequence_));
  const std::int64_t media_step = static_cast<std::int32_t>(timestamp - timestamp_);
  const std::int64_t gap = at - last_at_;
  const bool is_newer = step > 0;
  const bool is_restart =
      is_newer ? media_step <= 0 || step > 3'000 : step < -100 || media_step > 0;
  if (!has_packets_ || is_restart) {
    restart(at, sequence, timestamp, is_small);
    return false;
  }
  const std::int64_t transit = at - (extended_ + media_step);
  if (is_newer) {
    sequence_ = sequence;
    timestamp_ = timestamp;
    last_at_ = at;
    extended_ += media_step;
    const bool is_after_silence = was_small_;
    was_small_ = is_small;
    if (gap >= forget_after || (is_after_silence && gap - media_step > budget)) {
      rebase(at, transit);
      return false;
    }
  }
  if (at - half_began_ >= window / 2) {
    minimum_before_ = minimum_;
    minimum_ = transit;
    half_began_ = at;
  }
  minimum_ = std::min(minimum_, transit);
  const std::int64_t lateness = std::min(transit - std::min(minimum_, minimum_before_), cap);
  const std::int64_t limit = budget + 2 * mean64_ / 64;
  if (!is_newer) return !is_off && lateness > limit;
  if (lateness <= limit) {
    is_in_burst_ = false;
    mean64_ += lateness - mean64_ / 64;
    return false;
  }
  return is_in_backlog(at, transit, gap, media_step, lateness) && !is_off;
}

bool LatenessReference::is_in_backlog(std::int64_t at, std::int64_t transit, std::int64_t gap,
                                      std::int64_t media_step, std::int64_t lateness) {
  if (gap - media_step >= jump) {
    is_in_burst_ = true;
    burst_wall_ = burst_media_ = 0;
    return true;
  }
  if (!is_in_burst_) {
    mean64_ += lateness - mean64_ / 64;
    return false;
  }
  burst_wall_ += std::min(gap, cap);
  burst_media_ += std::min(media_step, cap);
  if (burst_wall_ < verdict_after || burst_wall_ * drain_ratio <= burst_media_) return true;
  rebase(at, transit);
  return false;
}

}  // namespace earshot::sim
