// What a level meter shows: quick to rise, slow to fall, with the peak held for a while. Any one
// thread; sans-IO: one frame of 20 ms at a time, nothing of it kept.
#pragma once

#include <cstdint>
#include <span>

namespace earshot::client {

class LevelMeter {
 public:
  // An empty frame is 20 ms of silence.
  void add(std::span<const std::int16_t> frame);

  // dBFS: the mean of a frame, and the highest level of the last seconds.
  double level() const { return level_; }
  double peak() const { return peak_; }

 private:
  double level_ = -100.0;
  double peak_ = -100.0;
  int held_frames_ = 0;
};

}  // namespace earshot::client
