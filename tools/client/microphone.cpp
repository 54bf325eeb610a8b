#include "tools/client/microphone.h"

#include <algorithm>
#include <cstddef>

#include "tools/client/spectrum.h"

namespace earshot::client {
namespace {

constexpr std::size_t frame_samples = codec::frame_samples_20ms;
// Half a second: a loop that is held up longer has other troubles.
constexpr std::size_t ring_parts_of_second = 2;
// Speech at 48 kbit/s, with a copy in the next packet against loss (RFC 6716 s2.1.7).
constexpr codec::EncoderOptions encoder_options{.fec = true, .expected_loss_percent = 5};

enum class Fade { in, out };

// Half a frame, so that a gate does not click.
void fade(std::vector<std::int16_t>& frame, Fade direction) {
  const std::size_t size = frame.size() / 2;
  for (std::size_t i = 0; i < frame.size(); ++i) {
    const double rising = std::min(1.0, static_cast<double>(i) / static_cast<double>(size));
    const double factor = direction == Fade::in ? rising : 1.0 - rising;
    frame[i] = static_cast<std::int16_t>(factor * frame[i]);
  }
}

}  // namespace

Microphone::Microphone(int device_rate, TalkGate& gate)
    : gate_(gate),
      device_rate_(static_cast<std::size_t>(device_rate)),
      ring_(device_rate_ / ring_parts_of_second),
      resampler_(device_rate, codec::sample_rate),
      raw_(ring_.capacity()),
      level_control_(codec::frame_samples_20ms),
      encoder_(encoder_options) {}

void Microphone::capture(std::span<const std::int16_t> samples) {
  grain_.add(samples.size());
  const std::size_t missed = samples.size() - ring_.write(samples);
  // Read by counters() alone: nothing hangs on its order.
  if (missed > 0) overflowed_.fetch_add(missed, std::memory_order_relaxed);
}

void Microphone::fill() {
  const std::size_t got = ring_.read(raw_);
  resampler_.process(std::span(raw_).first(got), waiting_);
}

// Leaves out whole frames after a stall, and single samples against drift.
void Microphone::correct(std::size_t grain) {
  std::int64_t change = level_control_.step(waiting_.size(), grain);
  while (change <= -codec::frame_samples_20ms && waiting_.size() >= 2 * frame_samples) {
    waiting_.erase(waiting_.begin(), waiting_.begin() + codec::frame_samples_20ms);
    change += codec::frame_samples_20ms;
    ++counters_.frames_skipped;
  }
  if (change == 1) {
    put_in_sample(waiting_);
    ++counters_.put_in;
  } else if (change == -1 && waiting_.size() > frame_samples) {
    take_out_sample(waiting_);
    ++counters_.taken_out;
  }
}

bool Microphone::take_frame() {
  fill();
  const std::size_t grain = grain_.step() * codec::sample_rate / device_rate_;
  if (!is_filled_) {
    // A block has just come; of one that is longer than a frame the rest is needed until the next.
    const auto rest =
        static_cast<std::ptrdiff_t>(grain > frame_samples ? grain - frame_samples : 0);
    const auto start = static_cast<std::ptrdiff_t>(level_control_.target(grain)) + rest;
    is_filled_ = std::ssize(waiting_) >= start;
    if (!is_filled_) return false;
    // What piled up before is old by now.
    waiting_.erase(waiting_.begin(), waiting_.end() - start);
    level_control_.restart();
  }
  if (waiting_.size() < frame_samples) {
    is_filled_ = false;
    ++counters_.starved;
    return false;
  }
  correct(grain);
  frame_.assign(waiting_.begin(), waiting_.begin() + codec::frame_samples_20ms);
  waiting_.erase(waiting_.begin(), waiting_.begin() + codec::frame_samples_20ms);
  return true;
}

std::optional<std::vector<std::uint8_t>> Microphone::next(Time now, double others_level) {
  const bool has_frame = take_frame();
  if (!has_frame) frame_.clear();
  meter_.add(frame_);
  const bool is_open = gate_.step(now, level_dbfs(frame_), others_level);
  const bool was_open = was_open_;
  was_open_ = is_open;
  if (!has_frame || (!is_open && !was_open)) return std::nullopt;
  if (is_open != was_open) fade(frame_, is_open ? Fade::in : Fade::out);
  auto packet = encoder_.encode(frame_);
  if (packet.empty()) return std::nullopt;
  return packet;
}

MicrophoneCounters Microphone::counters() const {
  MicrophoneCounters counters = counters_;
  counters.overflowed = overflowed_.load(std::memory_order_relaxed);
  return counters;
}

}  // namespace earshot::client
