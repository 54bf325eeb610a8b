// Brings a sum of voices into 16 bits: it turns the volume down before the peak instead of cutting
// the peak off, and slowly up again. What fits is not touched, bit for bit. Any one thread; no
// delay: it looks ahead within the frame that it is given.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace earshot::listen {

class Limiter {
 public:
  // `out` is as long as `sum`.
  void process(std::span<const std::int32_t> sum, std::span<std::int16_t> out);

 private:
  double gain_ = 1.0;          // at the end of the last frame
  std::vector<double> gains_;  // what each block of the frame may have at most
};

}  // namespace earshot::listen
