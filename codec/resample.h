// Sample-rate conversion for tools and tests: windowed sinc over a whole recording. Any thread. Not
// for live audio.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace earshot::codec {

// Converts mono samples; the band above the lower rate's half is removed. Both rates are positive.
std::vector<float> resample(std::span<const float> samples, int rate_in, int rate_out);

// Scales by 32,768, so that a 16-bit sample that was divided by it comes back, and clamps; what is
// no number is 0.
std::vector<std::int16_t> to_pcm16(std::span<const float> samples);

}  // namespace earshot::codec
