#include "codec/resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace earshot::codec {
namespace {

constexpr int zero_crossings = 24;
constexpr int steps_per_crossing = 512;
// A little below the lower rate's half, so that the transition band does not fold back.
constexpr double passband = 0.95;

// One wing of sinc under a Blackman window, read with linear interpolation.
class Kernel {
 public:
  Kernel() {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const double x = static_cast<double>(i) / steps_per_crossing;
      const double phase = std::numbers::pi * std::min(1.0, x / zero_crossings);
      const double window = 0.42 + 0.5 * std::cos(phase) + 0.08 * std::cos(2 * phase);
      const double sinc = i == 0 ? 1.0 : std::sin(std::numbers::pi * x) / (std::numbers::pi * x);
      values_[i] = sinc * window;
    }
  }

  double operator()(double x) const {
    const double position = std::abs(x) * steps_per_crossing;
    const auto index = static_cast<std::size_t>(position);
    if (index + 1 >= values_.size()) return 0.0;
    const double fraction = position - static_cast<double>(index);
    return values_[index] + fraction * (values_[index + 1] - values_[index]);
  }

 private:
  std::array<double, zero_crossings * steps_per_crossing + 1> values_{};
};

}  // namespace

std::vector<float> resample(std::span<const float> samples, int rate_in, int rate_out) {
  if (rate_in == rate_out) return {samples.begin(), samples.end()};
  static const Kernel kernel;
  const double step = static_cast<double>(rate_in) / rate_out;
  const double cutoff = passband * std::min(1.0, 1.0 / step);
  const double reach = zero_crossings / cutoff;
  const auto size = static_cast<std::int64_t>(samples.size());
  std::vector<float> out(samples.size() * static_cast<std::size_t>(rate_out) /
                         static_cast<std::size_t>(rate_in));
  for (std::size_t n = 0; n < out.size(); ++n) {
    const double center = static_cast<double>(n) * step;
    const auto first =
        std::max<std::int64_t>(0, static_cast<std::int64_t>(std::ceil(center - reach)));
    const auto last = std::min(size - 1, static_cast<std::int64_t>(std::floor(center + reach)));
    double sum = 0;
    for (std::int64_t i = first; i <= last; ++i) {
      sum += static_cast<double>(samples[static_cast<std::size_t>(i)]) *
             kernel((static_cast<double>(i) - center) * cutoff);
    }
    out[n] = static_cast<float>(sum * cutoff);
  }
  return out;
}

std::vector<std::int16_t> to_pcm16(std::span<const float> samples) {
  std::vector<std::int16_t> pcm;
  pcm.reserve(samples.size());
  for (const float sample : samples) {
    // A float file may hold NaN; std::clamp would hand it on.
    const float finite = std::isfinite(sample) ? sample : 0.0F;
    pcm.push_back(static_cast<std::int16_t>(
        std::lround(std::clamp(finite * 32'768.0F, -32'768.0F, 32'767.0F))));
  }
  return pcm;
}

}  // namespace earshot::codec
