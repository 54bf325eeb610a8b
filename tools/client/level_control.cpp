#include "tools/client/level_control.h"

#include <algorithm>
#include <cstdlib>

#include "codec/opus.h"

namespace earshot::client {
namespace {

constexpr int window_steps = 50;
// Beyond need and grain: 2.5, 7.5 and 17.5 ms, for the ticks of the loop that come late.
constexpr std::int64_t margin_low = 120;
constexpr std::int64_t margin_target = 360;
constexpr std::int64_t margin_high = 840;
// One a step for a second: 1,000 ppm. Sound cards are within some 100 ppm.
constexpr std::int64_t singles_max = window_steps;
// Too much for singles to make up for soon.
constexpr std::int64_t stall_min = 2 * codec::frame_samples_20ms;

// The index of the sample that is most like the one before it.
std::ptrdiff_t most_alike(const std::vector<std::int16_t>& samples) {
  std::ptrdiff_t best = 1;
  int difference_min = 65'536;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    const int difference = std::abs(samples[i] - samples[i - 1]);
    if (difference >= difference_min) continue;
    difference_min = difference;
    best = static_cast<std::ptrdiff_t>(i);
  }
  return best;
}

}  // namespace

void GrainMeter::add(std::size_t samples) {
  if (samples > largest_.load(std::memory_order_relaxed)) {
    largest_.store(samples, std::memory_order_relaxed);
  }
}

std::size_t GrainMeter::step() {
  const std::size_t largest = largest_.load(std::memory_order_relaxed);
  if (largest > grain_) grain_ = largest;
  if (++steps_ < window_steps) return grain_;
  steps_ = 0;
  if (largest > 0) grain_ = largest;
  largest_.store(0, std::memory_order_relaxed);
  return grain_;
}

std::int64_t LevelControl::target(std::size_t grain) const {
  return need_ + static_cast<std::int64_t>(grain) + margin_target;
}

std::int64_t LevelControl::step(std::size_t level, std::size_t grain) {
  const auto current = static_cast<std::int64_t>(level);
  level_min_ = steps_ == 0 ? current : std::min(level_min_, current);
  if (++steps_ == window_steps) {
    steps_ = 0;
    const std::int64_t aim = target(grain);
    const bool is_off = level_min_ < aim - margin_target + margin_low ||
                        level_min_ > aim - margin_target + margin_high;
    debt_ = is_off ? aim - level_min_ : 0;
    if (-debt_ >= stall_min) {
      const std::int64_t frames = -debt_ / codec::frame_samples_20ms;
      debt_ = 0;
      return -frames * codec::frame_samples_20ms;
    }
    debt_ = std::clamp(debt_, -singles_max, singles_max);
  }
  const std::int64_t single = std::clamp<std::int64_t>(debt_, -1, 1);
  debt_ -= single;
  return single;
}

void LevelControl::restart() {
  steps_ = 0;
  debt_ = 0;
}

void take_out_sample(std::vector<std::int16_t>& samples) {
  samples.erase(samples.begin() + most_alike(samples));
}

void put_in_sample(std::vector<std::int16_t>& samples) {
  const std::ptrdiff_t at = most_alike(samples);
  samples.insert(samples.begin() + at, samples[static_cast<std::size_t>(at)]);
}

}  // namespace earshot::client
