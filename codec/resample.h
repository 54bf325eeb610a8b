// Sample-rate conversion for tools and tests: windowed sinc over a whole recording. Any thread. Not
// for live audio.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace earshot::codec {

// Converts mono samples; the band above the lower rate's half is removed. Both rates are positive.
std::vector<float> resample(std::span<const float> samples, int rate_in, int rate_out);

// Clamps to [-1, 1] and scales to 16 bits.
std::vector<std::int16_t> to_pcm16(std::span<const float> samples);

}  // namespace earshot::codec
