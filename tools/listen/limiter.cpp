#include "tools/listen/limiter.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace earshot::listen {
namespace {

constexpr std::size_t block_samples = 120;  // 2.5 ms
constexpr double full_scale = std::numeric_limits<std::int16_t>::max();
constexpr double lowest = std::numeric_limits<std::int16_t>::min();
// From half the volume back to all of it in an eighth of a second.
constexpr double release_per_block = 0.01;

double allowed_gain(std::span<const std::int32_t> block) {
  const auto [low, high] = std::minmax_element(block.begin(), block.end());
  return std::min({1.0, full_scale / std::max(1.0, static_cast<double>(*high)),
                   lowest / std::min(-1.0, static_cast<double>(*low))});
}

std::int16_t scaled(std::int32_t sample, double gain) {
  return static_cast<std::int16_t>(
      std::clamp(std::nearbyint(static_cast<double>(sample) * gain), lowest, full_scale));
}

}  // namespace

void Limiter::process(std::span<const std::int32_t> sum, std::span<std::int16_t> out) {
  gains_.clear();
  for (std::size_t at = 0; at < sum.size(); at += block_samples) {
    gains_.push_back(allowed_gain(sum.subspan(at, std::min(block_samples, sum.size() - at))));
  }
  for (std::size_t block = 0; block < gains_.size(); ++block) {
    // A straight line between two points that both lie low enough for what is between them. Only
    // the very first block of a peak begins too high: its start may be clipped.
    const double next = block + 1 < gains_.size() ? gains_[block + 1] : gains_[block];
    const double end = std::min({gains_[block], next, gain_ + release_per_block});
    const std::size_t first = block * block_samples;
    const std::size_t size = std::min(block_samples, sum.size() - first);
    for (std::size_t i = 0; i < size; ++i) {
      const double part = static_cast<double>(i + 1) / static_cast<double>(size);
      out[first + i] = scaled(sum[first + i], gain_ + (end - gain_) * part);
    }
    gain_ = end;
  }
}

}  // namespace earshot::listen
