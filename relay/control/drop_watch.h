// Notices when the relay suddenly drops much of a stream: then the flight recorder is worth
// keeping. Controller thread; looks once a second, owns no clock. It decides nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>

#include "relay/base/ids.h"
#include "relay/base/time.h"

namespace earshot::control {

class DropWatch {
 public:
  // Of the last `recent` seconds, this share and this many packets were dropped, after less than
  // calm_share in the `before` seconds before them.
  static constexpr std::size_t recent = 5;
  static constexpr std::size_t before = 30;
  static constexpr std::uint64_t dropped_min = 10;
  static constexpr double jump_share = 0.05;
  static constexpr double calm_share = 0.01;
  // Between two that are told.
  static constexpr Duration pause = seconds(60);

  // Once a second, of each stream: what it sent since it began, and what of it was dropped.
  void add(Ssrc ssrc, std::uint64_t received, std::uint64_t dropped);
  // Behind them: whether any of them jumped, and it is long enough ago that this was said.
  // Forgets the streams that were not added.
  bool on_second(Time now);

 private:
  struct Sample {
    std::uint64_t received = 0;
    std::uint64_t dropped = 0;
  };
  struct Stream {
    std::array<Sample, recent + before + 1> samples{};  // a ring
    std::size_t count = 0;
    std::uint64_t round = 0;  // the last one it was added in
  };

  static bool has_jumped(const Stream& stream);

  std::unordered_map<std::uint32_t, Stream> streams_;
  std::uint64_t round_ = 1;
  bool has_jumped_ = false;
  Time told_at_;
  bool was_told_ = false;
};

}  // namespace earshot::control
