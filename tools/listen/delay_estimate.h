// How late packets come, and how long to wait for them: relative delay against the fastest packet
// of the last two seconds, and a histogram of half-second peaks that forgets. Any one thread;
// integers only. All times in ticks of 48 kHz.
#pragma once

#include <array>
#include <cstdint>

namespace earshot::listen {

class DelayEstimate {
 public:
  DelayEstimate(double quantile, double forget_factor);

  // `arrival` does not run backwards by more than reordering does.
  void add(std::int64_t arrival, std::int64_t transit);

  // Of the last two seconds in which packets came.
  std::int64_t transit_min() const { return transit_min_; }
  // The latest packet of the same time, against the fastest.
  std::int64_t delay_max() const { return transit_max_ - transit_min_; }
  // So many ticks after the fastest packet the given share of all has come.
  std::int64_t target() const { return target_; }

  static constexpr std::int64_t bucket_ticks = 960;  // 20 ms

 private:
  struct Interval {
    std::int64_t transit_min = INT64_MAX;
    std::int64_t transit_max = INT64_MIN;
  };
  static constexpr std::size_t buckets = 100;
  static constexpr std::size_t intervals = 4;

  void close_interval(std::int64_t arrival);
  void learn(std::int64_t peak);
  void find_bounds();
  void find_target();

  std::int32_t quantile_;       // Q30
  std::int32_t forget_factor_;  // Q30
  std::int64_t samples_ = 0;    // half seconds learnt
  std::array<Interval, intervals> recent_{};
  std::size_t current_ = 0;
  bool has_packet_ = false;
  std::int64_t interval_begin_ = 0;
  std::int64_t peak_ = 0;  // of this interval
  std::int64_t transit_min_ = 0;
  std::int64_t transit_max_ = 0;
  std::int64_t target_ = bucket_ticks;
  std::array<std::int32_t, buckets> histogram_{};  // Q30, together about 1
};

}  // namespace earshot::listen
