// The filter of both converters of sample rates: one wing of sinc under a Blackman window, read
// with linear interpolation. Any thread; only for the files beside it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace earshot::codec {

class SincKernel {
 public:
  static constexpr int zero_crossings = 24;
  // A little below the lower rate's half, so that the transition band does not fold back.
  static constexpr double passband = 0.95;

  SincKernel() {
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
  static constexpr int steps_per_crossing = 512;

  std::array<double, zero_crossings * steps_per_crossing + 1> values_{};
};

inline const SincKernel& sinc_kernel() {
  static const SincKernel kernel;
  return kernel;
}

}  // namespace earshot::codec
