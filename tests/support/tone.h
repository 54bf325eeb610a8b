// Sine tones and how much of one a recording holds, for tests of audio. Any thread.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

namespace earshot::test {

// `amplitude` is a part of full scale.
inline std::vector<std::int16_t> tone(double hertz, std::size_t samples, double amplitude = 0.5,
                                      int rate = 48'000) {
  std::vector<std::int16_t> pcm(samples);
  for (std::size_t i = 0; i < samples; ++i) {
    const double phase = 2 * std::numbers::pi * hertz * static_cast<double>(i) / rate;
    pcm[i] = static_cast<std::int16_t>(std::lround(32'767 * amplitude * std::sin(phase)));
  }
  return pcm;
}

// Mean power, in the samples' own unit.
template <typename Sample>
double power(std::span<const Sample> pcm) {
  double sum = 0;
  for (const Sample sample : pcm) sum += static_cast<double>(sample) * static_cast<double>(sample);
  return pcm.empty() ? 0 : sum / static_cast<double>(pcm.size());
}

// The part of the power that stands at one frequency, by correlation under a Hann window: near 1
// for a pure tone, near 0 for anything else.
template <typename Sample>
double part_at(std::span<const Sample> pcm, double hertz, int rate = 48'000) {
  double sine = 0;
  double cosine = 0;
  double total = 0;
  double window_power = 0;
  for (std::size_t i = 0; i < pcm.size(); ++i) {
    const double at = static_cast<double>(i);
    const double window =
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * at / static_cast<double>(pcm.size()));
    const double phase = 2 * std::numbers::pi * hertz * at / rate;
    const double sample = static_cast<double>(pcm[i]);
    sine += window * sample * std::sin(phase);
    cosine += window * sample * std::cos(phase);
    total += window * sample * sample;
    window_power += window;
  }
  return total == 0 ? 0 : 2 * (sine * sine + cosine * cosine) / (window_power * total);
}

}  // namespace earshot::test
