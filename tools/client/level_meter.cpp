#include "tools/client/level_meter.h"

#include <algorithm>

#include "tools/client/spectrum.h"

namespace earshot::client {
namespace {

constexpr double fall_per_frame = 0.8;  // 40 dB a second
constexpr int hold_frames = 75;         // 1.5 s

}  // namespace

void LevelMeter::add(std::span<const std::int16_t> frame) {
  level_ = std::max({level_dbfs(frame), level_ - fall_per_frame, level_silent});
  const bool is_held = held_frames_ > 0 && level_ < peak_;
  if (is_held) {
    --held_frames_;
    return;
  }
  if (level_ >= peak_) held_frames_ = hold_frames;
  peak_ = std::max(level_, peak_ - fall_per_frame);
}

}  // namespace earshot::client
