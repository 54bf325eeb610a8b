// What a recording sounds like, in numbers that tests can check: level and frequency. Any one
// thread. Not a general signal library; 48 kHz mono only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace earshot::client {

constexpr double level_silent = -100.0;  // dBFS, the lowest that is told

// Root mean square in dB below a full-scale square wave.
double level_dbfs(std::span<const std::int16_t> samples);

// Share of the signal's energy at `hz`, 0 to 1 (Goertzel's algorithm; a pure tone is close to 1).
double goertzel_share(std::span<const std::int16_t> samples, double hz);

// The strongest frequency of up to 85 ms, good to about 1 Hz for a pure tone of 100 Hz and more; 0
// for silence.
double strongest_frequency(std::span<const std::int16_t> samples);

// Watches one speaker's frames: levels, and which tone there is in how many of them.
class ToneMeter {
 public:
  // With `finds_tones` every audible frame costs a Fourier transform.
  explicit ToneMeter(bool finds_tones) : finds_tones_(finds_tones) {}

  void add(std::span<const std::int16_t> frame);

  // Over the last second of frames.
  double recent_level() const;
  // Over all audible frames.
  double level() const;
  // Frames louder than -60 dBFS.
  std::uint64_t audible_frames() const { return audible_; }

  struct Tone {
    double hz = 0;
    double share = 0;  // of the audible frames that are within 2 % of it
  };
  // The frequency that most of the audible frames agree on.
  Tone dominant() const;

 private:
  bool finds_tones_;
  std::uint64_t audible_ = 0;
  double audible_energy_ = 0;  // sum of squares, full scale = 1
  std::uint64_t audible_samples_ = 0;
  std::vector<double> recent_;  // mean square of the last frames, a ring
  std::size_t recent_next_ = 0;
  std::vector<float> frequencies_;
};

}  // namespace earshot::client
