// Time as strong types: nanoseconds in 64 bits. Any thread; reads no clock (relay/io/clock.h does).
// `Time` is a point on the monotonic clock of the process, or on a simulator's virtual clock.
#pragma once

#include <compare>
#include <cstdint>

namespace earshot {

struct Duration {
  std::int64_t ns = 0;

  constexpr auto operator<=>(const Duration&) const = default;
  constexpr Duration operator+(Duration other) const { return {ns + other.ns}; }
  constexpr Duration operator-(Duration other) const { return {ns - other.ns}; }
  constexpr Duration operator*(std::int64_t factor) const { return {ns * factor}; }
  constexpr Duration operator/(std::int64_t divisor) const { return {ns / divisor}; }
  constexpr std::int64_t us() const { return ns / 1'000; }
  constexpr std::int64_t ms() const { return ns / 1'000'000; }
};

constexpr Duration nanoseconds(std::int64_t n) {
  return {n};
}
constexpr Duration microseconds(std::int64_t n) {
  return {n * 1'000};
}
constexpr Duration milliseconds(std::int64_t n) {
  return {n * 1'000'000};
}
constexpr Duration seconds(std::int64_t n) {
  return {n * 1'000'000'000};
}

struct Time {
  std::int64_t ns = 0;

  constexpr auto operator<=>(const Time&) const = default;
  constexpr Time operator+(Duration d) const { return {ns + d.ns}; }
  constexpr Time operator-(Duration d) const { return {ns - d.ns}; }
  constexpr Duration operator-(Time other) const { return {ns - other.ns}; }

  // Later than every real time: "no deadline".
  static constexpr Time never() { return {INT64_MAX}; }
};

// 48 kHz ticks, the RTP clock of Opus (RFC 7587 s4.1); ns * 48000 / 1e9 without overflow for 60
// years.
constexpr std::int64_t rtp_ticks(Time t) {
  return t.ns / 62'500 * 3 + t.ns % 62'500 * 3 / 62'500;
}

}  // namespace earshot
