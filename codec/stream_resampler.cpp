#include "codec/stream_resampler.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "codec/resample.h"
#include "codec/sinc_kernel.h"

namespace earshot::codec {

StreamResampler::StreamResampler(int rate_in, int rate_out)
    : rate_in_(rate_in),
      rate_out_(rate_out),
      cutoff_(SincKernel::passband * std::min(1.0, static_cast<double>(rate_out) / rate_in)),
      reach_(SincKernel::zero_crossings / cutoff_) {
  // The silence before the first sample.
  const auto before = static_cast<std::size_t>(std::ceil(reach_));
  history_.assign(before, 0.0F);
  position_ = static_cast<std::int64_t>(before) * rate_out_;
}

void StreamResampler::process(std::span<const std::int16_t> samples,
                              std::vector<std::int16_t>& out) {
  if (rate_in_ == rate_out_) {
    out.insert(out.end(), samples.begin(), samples.end());
    return;
  }
  for (const std::int16_t sample : samples) history_.push_back(static_cast<float>(sample) / 32'768);
  const SincKernel& kernel = sinc_kernel();
  std::vector<float> converted;
  for (;; position_ += rate_in_) {
    const double center = static_cast<double>(position_) / rate_out_;
    const auto first = static_cast<std::size_t>(std::ceil(center - reach_));
    const auto last = static_cast<std::size_t>(std::floor(center + reach_));
    if (last >= history_.size()) break;
    double sum = 0;
    for (std::size_t i = first; i <= last; ++i) {
      sum += static_cast<double>(history_[i]) * kernel((static_cast<double>(i) - center) * cutoff_);
    }
    converted.push_back(static_cast<float>(sum * cutoff_));
  }
  const auto pcm = to_pcm16(converted);
  out.insert(out.end(), pcm.begin(), pcm.end());
  // What no later sample reaches.
  const auto used =
      static_cast<std::int64_t>(std::ceil(static_cast<double>(position_) / rate_out_ - reach_));
  const std::int64_t spent = std::clamp<std::int64_t>(used - 1, 0, std::ssize(history_));
  history_.erase(history_.begin(), history_.begin() + spent);
  position_ -= spent * rate_out_;
}

}  // namespace earshot::codec
