#include "tools/client/spectrum.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>

#include "codec/opus.h"

namespace earshot::client {
namespace {

constexpr std::size_t transform_size = 4'096;
constexpr double audible_level = -60.0;
constexpr std::size_t recent_frames = 50;
// Four hours of frames, 4 bytes each; later ones no longer change the picture.
constexpr std::size_t frequencies_max = 720'000;
constexpr double agreement = 0.02;

double mean_square(std::span<const std::int16_t> samples) {
  double sum = 0;
  for (const std::int16_t sample : samples) sum += static_cast<double>(sample) * sample;
  return samples.empty() ? 0 : sum / static_cast<double>(samples.size()) / (32'768.0 * 32'768.0);
}

double to_dbfs(double square) {
  return square > 1e-10 ? 10 * std::log10(square) : level_silent;
}

using Spectrum = std::array<std::complex<float>, transform_size>;

// In place, radix 2, after bit reversal.
void transform(Spectrum& data) {
  for (std::size_t i = 1, j = 0; i < data.size(); ++i) {
    std::size_t bit = data.size() / 2;
    for (; (j & bit) != 0; bit /= 2) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(data[i], data[j]);
  }
  static const auto twiddles = [] {
    std::array<std::complex<float>, transform_size / 2> values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double angle = -2 * std::numbers::pi * static_cast<double>(i) / transform_size;
      values[i] = {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
    }
    return values;
  }();
  for (std::size_t half = 1; half < data.size(); half *= 2) {
    const std::size_t stride = data.size() / (2 * half);
    for (std::size_t start = 0; start < data.size(); start += 2 * half) {
      for (std::size_t i = 0; i < half; ++i) {
        const auto odd = data[start + half + i] * twiddles[i * stride];
        data[start + half + i] = data[start + i] - odd;
        data[start + i] += odd;
      }
    }
  }
}

// Where the top of the parabola through three neighbours lies, relative to the middle one.
double vertex(double left, double middle, double right) {
  const double curvature = left - 2 * middle + right;
  return curvature < 0 ? 0.5 * (left - right) / curvature : 0;
}

}  // namespace

double level_dbfs(std::span<const std::int16_t> samples) {
  return to_dbfs(mean_square(samples));
}

double goertzel_share(std::span<const std::int16_t> samples, double hz) {
  const double coefficient = 2 * std::cos(2 * std::numbers::pi * hz / codec::sample_rate);
  double previous = 0;
  double before = 0;
  double energy = 0;
  for (const std::int16_t sample : samples) {
    const double current = sample + coefficient * previous - before;
    before = previous;
    previous = current;
    energy += static_cast<double>(sample) * sample;
  }
  if (energy <= 0) return 0;
  const double power = previous * previous + before * before - coefficient * previous * before;
  return std::min(1.0, 2 * power / (energy * static_cast<double>(samples.size())));
}

double strongest_frequency(std::span<const std::int16_t> samples) {
  const auto used = samples.first(std::min(samples.size(), transform_size));
  if (used.size() < 2 || level_dbfs(used) <= audible_level) return 0;
  Spectrum spectrum{};
  // Hann's window, zero-padded: neighbouring tones leak less, and the peak is round.
  for (std::size_t i = 0; i < used.size(); ++i) {
    const double phase =
        2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(used.size());
    spectrum[i] = static_cast<float>(used[i] * (0.5 - 0.5 * std::cos(phase)));
  }
  transform(spectrum);
  // Below 47 Hz there is only what the window smears around zero.
  std::size_t peak = 4;
  for (std::size_t i = 4; i < transform_size / 2 - 1; ++i) {
    if (std::norm(spectrum[i]) > std::norm(spectrum[peak])) peak = i;
  }
  const auto magnitude = [&spectrum](std::size_t i) {
    return std::log(static_cast<double>(std::abs(spectrum[i])) + 1e-12);
  };
  const double offset = vertex(magnitude(peak - 1), magnitude(peak), magnitude(peak + 1));
  return (static_cast<double>(peak) + offset) * codec::sample_rate / transform_size;
}

void ToneMeter::add(std::span<const std::int16_t> frame) {
  const double square = mean_square(frame);
  if (recent_.size() < recent_frames) {
    recent_.push_back(square);
  } else {
    recent_[recent_next_] = square;
    recent_next_ = (recent_next_ + 1) % recent_frames;
  }
  if (to_dbfs(square) <= audible_level) return;
  ++audible_;
  audible_energy_ += square * static_cast<double>(frame.size());
  audible_samples_ += frame.size();
  if (finds_tones_ && frequencies_.size() < frequencies_max) {
    frequencies_.push_back(static_cast<float>(strongest_frequency(frame)));
  }
}

double ToneMeter::recent_level() const {
  double sum = 0;
  for (const double square : recent_) sum += square;
  return recent_.empty() ? level_silent : to_dbfs(sum / static_cast<double>(recent_.size()));
}

double ToneMeter::level() const {
  return audible_samples_ == 0 ? level_silent
                               : to_dbfs(audible_energy_ / static_cast<double>(audible_samples_));
}

ToneMeter::Tone ToneMeter::dominant() const {
  if (frequencies_.empty()) return {};
  std::vector<float> sorted = frequencies_;
  std::sort(sorted.begin(), sorted.end());
  // The window of +-2 % that holds most frames; both its ends only move up.
  std::size_t best_first = 0;
  std::size_t best_size = 0;
  for (std::size_t first = 0, end = 0; first < sorted.size(); ++first) {
    const double limit = sorted[first] * (1 + agreement) / (1 - agreement);
    while (end < sorted.size() && static_cast<double>(sorted[end]) <= limit) ++end;
    if (end - first > best_size) {
      best_size = end - first;
      best_first = first;
    }
  }
  const double hz = sorted[best_first + best_size / 2];
  const auto agreeing = std::count_if(sorted.begin(), sorted.end(), [hz](float frequency) {
    return std::abs(static_cast<double>(frequency) - hz) <= agreement * hz;
  });
  return {hz, static_cast<double>(agreeing) / static_cast<double>(sorted.size())};
}

}  // namespace earshot::client
