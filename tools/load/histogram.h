// Durations, counted by size: 3 % exact from a nanosecond to a minute. Plain memory without
// pointers, so that it can lie where several processes see it; one writer at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "relay/base/time.h"

namespace earshot::load {

class Histogram {
 public:
  void record(Duration duration);
  void merge(const Histogram& other);
  // Of the recorded ones the smallest that `fraction` of them do not exceed; zero if there are
  // none.
  Duration quantile(double fraction) const;
  std::uint64_t count() const { return count_; }
  Duration max() const { return {max_ns_}; }

 private:
  static constexpr int precision_bits = 5;
  static constexpr std::size_t steps = std::size_t{1} << precision_bits;
  static constexpr int bits_max = 36;  // 68 s
  static std::size_t index_of(std::int64_t ns);
  static std::int64_t upper_end(std::size_t index);

  std::uint64_t count_ = 0;
  std::int64_t max_ns_ = 0;
  std::array<std::uint32_t, (bits_max - precision_bits + 1) * steps> counts_{};
};

}  // namespace earshot::load
