#include "tools/client/loudspeaker.h"

#include <algorithm>
#include <cstddef>

#include "codec/opus.h"

namespace earshot::client {
namespace {

// Half a second.
constexpr std::size_t ring_parts_of_second = 2;
// From all to nothing in 5 ms at 48 kHz: no click.
constexpr float gain_step = 1.0F / 240;

}  // namespace

Loudspeaker::Loudspeaker(int device_rate)
    : device_rate_(static_cast<std::size_t>(device_rate)),
      ring_(device_rate_ / ring_parts_of_second),
      start_level_(ring_.capacity()),
      resampler_(codec::sample_rate, device_rate),
      level_control_(0) {}

std::size_t Loudspeaker::to_device(std::int64_t samples) const {
  return static_cast<std::size_t>(samples) * device_rate_ / codec::sample_rate;
}

void Loudspeaker::play(std::span<std::int16_t> out) {
  // This thread alone writes it; the other one learns of it early enough.
  bool is_playing = is_playing_.load(std::memory_order_relaxed);
  grain_.add(out.size());
  if (!is_playing) {
    const std::size_t start_level = start_level_.load(std::memory_order_relaxed);
    is_playing = ring_.size() >= start_level;
    if (is_playing) skip(ring_.size() - start_level, out);
  }
  const std::size_t got = is_playing ? ring_.read(out) : 0;
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(got), out.end(), std::int16_t{0});
  const float goal = is_muted_.load(std::memory_order_relaxed) ? 0.0F : 1.0F;
  if (gain_ != 1.0F || goal != 1.0F) {
    for (std::int16_t& sample : out) {
      gain_ = std::clamp(goal, gain_ - gain_step, gain_ + gain_step);
      sample = static_cast<std::int16_t>(gain_ * static_cast<float>(sample));
    }
  }
  const bool is_starved = is_playing && got < out.size();
  is_playing_.store(is_playing && !is_starved, std::memory_order_relaxed);
  // Read by the loop's thread: nothing hangs on its order.
  if (is_starved) starved_.fetch_add(1, std::memory_order_relaxed);
}

// `scratch` is overwritten.
void Loudspeaker::skip(std::size_t samples, std::span<std::int16_t> scratch) {
  while (samples > 0 && !scratch.empty()) {
    samples -= ring_.read(scratch.first(std::min(samples, scratch.size())));
  }
}

std::size_t Loudspeaker::level() const {
  return ring_.size() * codec::sample_rate / device_rate_;
}

// Is the frame left out?
bool Loudspeaker::correct() {
  const std::size_t grain = grain_.step() * codec::sample_rate / device_rate_;
  // This frame, and then as much as there should always be.
  const std::int64_t start = codec::frame_samples_20ms + level_control_.target(grain);
  start_level_.store(std::min(to_device(start), ring_.capacity()), std::memory_order_relaxed);
  std::int64_t change = 0;
  if (is_playing_.load(std::memory_order_relaxed)) {
    change = level_control_.step(level(), grain);
  } else {
    // What piles up before the start says nothing.
    level_control_.restart();
  }
  if (change <= -codec::frame_samples_20ms) {
    skips_left_ += static_cast<std::uint64_t>(-change / codec::frame_samples_20ms);
  } else if (change == 1) {
    put_in_sample(frame_);
    ++counters_.put_in;
  } else if (change == -1) {
    take_out_sample(frame_);
    ++counters_.taken_out;
  }
  if (skips_left_ == 0) return false;
  --skips_left_;
  ++counters_.frames_skipped;
  return true;
}

void Loudspeaker::write(std::span<const std::int16_t> frame) {
  frame_.assign(frame.begin(), frame.end());
  if (correct()) return;
  converted_.clear();
  resampler_.process(frame_, converted_);
  counters_.overflowed += converted_.size() - ring_.write(converted_);
}

LoudspeakerCounters Loudspeaker::counters() const {
  LoudspeakerCounters counters = counters_;
  counters.starved = starved_.load(std::memory_order_relaxed);
  return counters;
}

}  // namespace earshot::client
