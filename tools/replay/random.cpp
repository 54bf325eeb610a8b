#include "tools/replay/random.h"

#include <cmath>

namespace earshot::replay {
namespace {

constexpr std::uint64_t rotate_left(std::uint64_t x, int bits) {
  return x << bits | x >> (64 - bits);
}

// Horner's rule; the first coefficient belongs to the highest power.
template <std::size_t N>
double polynomial(const std::array<double, N>& coefficients, double x) {
  double sum = 0;
  for (const double c : coefficients) sum = sum * x + c;
  return sum;
}

}  // namespace

Random::Random(std::uint64_t seed) {
  for (std::uint64_t& word : state_) {
    word = mix(seed);
    seed += 0x9E3779B97F4A7C15;
  }
}

std::uint64_t Random::next() {
  const std::uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = rotate_left(state_[3], 45);
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) {
  // The first 2^64 mod bound numbers would make some results more likely.
  const std::uint64_t skipped = (0 - bound) % bound;
  std::uint64_t number = next();
  while (number < skipped) number = next();
  return number % bound;
}

double Random::uniform() {
  return (static_cast<double>(next() >> 12) + 0.5) * 0x1p-52;
}

bool Random::chance(double probability) {
  return uniform() < probability;
}

double Random::normal() {
  return normal_quantile(uniform());
}

double Random::exponential() {
  return -std::log(uniform());
}

// Marsaglia and Tsang 2000.
double Random::gamma(double shape) {
  if (shape < 1) {
    const double whole = gamma(shape + 1);
    return whole * std::pow(uniform(), 1 / shape);
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = normal();
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

double Random::pareto(double shape) {
  return std::pow(uniform(), -1 / shape) - 1;
}

// Acklam's rational approximation: relative error below 1.2e-9.
double normal_quantile(double probability) {
  constexpr double tail = 0.02425;
  constexpr std::array<double, 6> a{-3.969683028665376e+01, 2.209460984245205e+02,
                                    -2.759285104469687e+02, 1.383577518672690e+02,
                                    -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr std::array<double, 6> b{-5.447609879822406e+01, 1.615858368580409e+02,
                                    -1.556989798598866e+02, 6.680131188771972e+01,
                                    -1.328068155288572e+01, 1};
  constexpr std::array<double, 6> c{-7.784894002430293e-03, -3.223964580411365e-01,
                                    -2.400758277161838e+00, -2.549732539343734e+00,
                                    4.374664141464968e+00,  2.938163982698783e+00};
  constexpr std::array<double, 5> d{7.784695709041462e-03, 3.224671290700398e-01,
                                    2.445134137142996e+00, 3.754408661907416e+00, 1};
  if (probability < tail) {
    const double q = std::sqrt(-2 * std::log(probability));
    return polynomial(c, q) / polynomial(d, q);
  }
  if (probability > 1 - tail) {
    const double q = std::sqrt(-2 * std::log(1 - probability));
    return -polynomial(c, q) / polynomial(d, q);
  }
  const double q = probability - 0.5;
  const double r = q * q;
  return polynomial(a, r) * q / polynomial(b, r);
}

Duration scale(Duration of, double factor) {
  constexpr double hundred_years = 3.2e18;
  const double ns = static_cast<double>(of.ns) * factor;
  if (!(ns < hundred_years)) return {static_cast<std::int64_t>(hundred_years)};
  if (ns < -hundred_years) return {-static_cast<std::int64_t>(hundred_years)};
  return {static_cast<std::int64_t>(std::floor(ns + 0.5))};
}

}  // namespace earshot::replay
