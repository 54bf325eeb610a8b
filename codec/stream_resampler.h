// Sample-rate conversion for live audio: pieces in, pieces out, with a millisecond or two of delay.
// One thread each. For a whole recording there is resample.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace earshot::codec {

class StreamResampler {
 public:
  // Both rates are positive, and less than a thousand times each other.
  StreamResampler(int rate_in, int rate_out);

  // Appends to `out` what can be told from the samples so far. Equal rates pass through.
  void process(std::span<const std::int16_t> samples, std::vector<std::int16_t>& out);

 private:
  int rate_in_;
  int rate_out_;
  double cutoff_;  // relative to the input's half
  double reach_;   // of the filter, in input samples to each side
  std::vector<float> history_;
  // Of the next output sample, in steps of 1/rate_out of an input sample from history_'s start:
  // whole numbers, so that nothing adds up over hours.
  std::int64_t position_ = 0;
};

}  // namespace earshot::codec
