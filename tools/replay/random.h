// Seeded randomness of the replay tool and the simulator: the same numbers from every compiler,
// because nothing of <random> is in it. Any thread, one at a time; not for secrets.
// Every draw of `uniform`, `normal`, `exponential` and `pareto` takes exactly one number.
#pragma once

#include <array>
#include <cstdint>

#include "relay/base/time.h"

namespace earshot::replay {

// One step of splitmix64 (Steele, Lea, Flood 2014): spreads neighbouring seeds over all bits.
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// A seed of its own for every part of a run: derive_seed(seed, participant, direction).
template <typename... Parts>
constexpr std::uint64_t derive_seed(std::uint64_t seed, Parts... parts) {
  std::uint64_t hash = mix(seed);
  // Mixed twice on one side: seed 1, part 2 is not seed 2, part 1.
  ((hash = mix(mix(hash) ^ mix(static_cast<std::uint64_t>(parts)))), ...);
  return hash;
}

// xoshiro256** (Blackman, Vigna 2018).
class Random {
 public:
  explicit Random(std::uint64_t seed);

  std::uint64_t next();
  // Uniform in 0 .. bound - 1; bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in (0, 1), neither end included.
  double uniform();
  bool chance(double probability);  // true that often; 0 is never, 1 always
  double normal();                  // mean 0, variance 1; by the inverse of its distribution
  double exponential();             // mean 1
  double gamma(double shape);       // mean `shape`, scale 1; shape > 0
  // Lomax (a Pareto distribution that begins at 0): mean 1 / (shape - 1); shape > 1.
  double pareto(double shape);

 private:
  std::array<std::uint64_t, 4> state_{};
};

// The value below which a standard normal variable lies with `probability`, 0 < probability < 1.
double normal_quantile(double probability);

// `of` scaled, to the nearest nanosecond; what does not fit is 100 years.
Duration scale(Duration of, double factor);

}  // namespace earshot::replay
