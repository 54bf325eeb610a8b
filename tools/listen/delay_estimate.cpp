#include "tools/listen/delay_estimate.h"

#include <algorithm>

namespace earshot::listen {
namespace {

constexpr std::int64_t interval_ticks = 24'000;  // half a second
constexpr std::int64_t one = std::int64_t{1} << 30;

std::int32_t to_q30(double value) {
  return static_cast<std::int32_t>(std::clamp(value, 0.0, 1.0) * static_cast<double>(one));
}

}  // namespace

DelayEstimate::DelayEstimate(double quantile, double forget_factor)
    : quantile_(to_q30(quantile)), forget_factor_(to_q30(forget_factor)) {}

void DelayEstimate::add(std::int64_t arrival, std::int64_t transit) {
  if (!has_packet_) {
    has_packet_ = true;
    interval_begin_ = arrival;
  } else if (arrival - interval_begin_ >= interval_ticks) {
    close_interval(arrival);
  }
  Interval& interval = recent_[current_];
  interval.transit_min = std::min(interval.transit_min, transit);
  interval.transit_max = std::max(interval.transit_max, transit);
  find_bounds();
  peak_ = std::max(peak_, transit - transit_min_);
  // What nothing is known of yet is expected to go on as it began.
  if (samples_ == 0) target_ = std::max(target_, (peak_ / bucket_ticks + 1) * bucket_ticks);
}

// A pause closes one interval, however long it was: what was known before it still holds.
void DelayEstimate::close_interval(std::int64_t arrival) {
  learn(peak_);
  peak_ = 0;
  interval_begin_ = arrival;
  current_ = (current_ + 1) % intervals;
  recent_[current_] = {};
}

// A peak counts once per half second, so that a few late packets among many are not outvoted: what
// comes back within some ten seconds lifts the quantile.
void DelayEstimate::learn(std::int64_t peak) {
  ++samples_;
  // The first samples weigh more: 1, 2/3, 1/2, ... until the steady factor is reached.
  const std::int64_t factor =
      std::min<std::int64_t>(forget_factor_, one - 2 * one / (samples_ + 1));
  std::int64_t sum = 0;
  for (std::int32_t& share : histogram_) {
    share = static_cast<std::int32_t>((share * std::max<std::int64_t>(factor, 0)) >> 30);
    sum += share;
  }
  const auto bucket = static_cast<std::size_t>(
      std::clamp<std::int64_t>(peak / bucket_ticks, 0, static_cast<std::int64_t>(buckets) - 1));
  // What rounding took goes to the newest.
  histogram_[bucket] += static_cast<std::int32_t>(one - sum);
  find_target();
}

void DelayEstimate::find_bounds() {
  transit_min_ = INT64_MAX;
  transit_max_ = INT64_MIN;
  for (const Interval& interval : recent_) {
    transit_min_ = std::min(transit_min_, interval.transit_min);
    transit_max_ = std::max(transit_max_, interval.transit_max);
  }
}

void DelayEstimate::find_target() {
  std::int64_t sum = 0;
  std::size_t bucket = 0;
  for (; bucket + 1 < buckets; ++bucket) {
    sum += histogram_[bucket];
    if (sum >= quantile_) break;
  }
  target_ = static_cast<std::int64_t>(bucket + 1) * bucket_ticks;
}

}  // namespace earshot::listen
