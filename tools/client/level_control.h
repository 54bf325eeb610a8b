// Keeps a store of samples short between two clocks that are never quite the same: a sound card's
// and ours. Any one thread; sans-IO: told every 20 ms how much is there, it says how many samples
// to add or to take out. Single ones against drift, whole frames after a stall.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace earshot::client {

// How many samples a sound card moves at once, lately.
class GrainMeter {
 public:
  // The card's thread only.
  void add(std::size_t samples);
  // The loop's thread, every 20 ms.
  std::size_t step();

 private:
  // Nothing hangs on its order: a block that is seen late counts in the next second.
  std::atomic<std::size_t> largest_{0};
  int steps_ = 0;
  std::size_t grain_ = 0;
};

class LevelControl {
 public:
  // `need` is what the next 20 ms take out before anything comes in.
  explicit LevelControl(std::int64_t need) : need_(need) {}

  // Every 20 ms. Samples to add: 1, 0, -1, or less for whole frames to leave out. The level is told
  // in grains of that size: what is in the card's hands is not seen.
  std::int64_t step(std::size_t level, std::size_t grain);
  // What it aims at, of the shortest store within a second.
  std::int64_t target(std::size_t grain) const;
  // The store was emptied or filled anew: what was seen before says nothing.
  void restart();

 private:
  std::int64_t need_;
  int steps_ = 0;
  std::int64_t level_min_ = 0;
  std::int64_t debt_ = 0;
};

// Takes one sample out or puts one in where it is heard least: between the most alike neighbours.
// At least two samples.
void take_out_sample(std::vector<std::int16_t>& samples);
void put_in_sample(std::vector<std::int16_t>& samples);

}  // namespace earshot::client
