#include "codec/resample.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "codec/sinc_kernel.h"

namespace earshot::codec {
std::vector<float> resample(std::span<const float> samples, int rate_in, int rate_out) {
  if (rate_in == rate_out) return {samples.begin(), samples.end()};
  const SincKernel& kernel = sinc_kernel();
  const double step = static_cast<double>(rate_in) / rate_out;
  const double cutoff = SincKernel::passband * std::min(1.0, 1.0 / step);
  const double reach = SincKernel::zero_crossings / cutoff;
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
