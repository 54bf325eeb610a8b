#include "tools/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace earshot::load {

// The leading bit and the five behind it.
std::size_t Histogram::index_of(std::int64_t ns) {
  const auto value = static_cast<std::uint64_t>(
      std::clamp<std::int64_t>(ns, 0, (std::int64_t{1} << bits_max) - 1));
  if (value < steps) return static_cast<std::size_t>(value);
  const int shift = static_cast<int>(std::bit_width(value)) - 1 - precision_bits;
  return static_cast<std::size_t>(shift) * steps + static_cast<std::size_t>(value >> shift);
}

std::int64_t Histogram::upper_end(std::size_t index) {
  if (index < 2 * steps) return static_cast<std::int64_t>(index);
  const std::size_t shift = index / steps - 1;
  const std::size_t value = index - shift * steps;
  return static_cast<std::int64_t>(((value + 1) << shift) - 1);
}

void Histogram::record(Duration duration) {
  ++count_;
  max_ns_ = std::max(max_ns_, duration.ns);
  ++counts_[index_of(duration.ns)];
}

void Histogram::merge(const Histogram& other) {
  count_ += other.count_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

Duration Histogram::quantile(double fraction) const {
  if (count_ == 0) return {};
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= wanted) return {std::min(upper_end(i), max_ns_)};
  }
  return {max_ns_};
}

}  // namespace earshot::load
