#include "relay/core/lateness.h"

#include <algorithm>

namespace earshot {
namespace {

// 48 kHz ticks.
constexpr std::int64_t ticks_per_ms = 48;
constexpr std::int64_t jump = 40 * ticks_per_ms;           // a gap that begins a backlog
constexpr std::int64_t verdict_after = 15 * ticks_per_ms;  // so long a backlog is given the benefit
constexpr std::int64_t drain_ratio = 4;                    // times as fast as it plays
constexpr std::int64_t half_window = 5'000 * ticks_per_ms;
constexpr std::int64_t forget_after = 60'000 * ticks_per_ms;
constexpr std::int64_t cap = 10'000 * ticks_per_ms;
constexpr std::uint16_t late_ms_while_off = 200;

// A step beyond these is a restart of the sender (RFC 3550 A.1: MAX_DROPOUT, MAX_MISORDER).
constexpr int dropout_max = 3'000;
constexpr int misorder_max = 100;

void rebase(LatenessState& s, std::int64_t at, std::int64_t transit) {
  s.transit_min = s.transit_min_before = transit;
  s.half_began = at;
  s.is_in_backlog = false;
}

bool is_restart(int sequence_step, std::int32_t timestamp_step) {
  return sequence_step > 0 ? timestamp_step <= 0 || sequence_step > dropout_max
                           : timestamp_step > 0 || sequence_step < -misorder_max;
}

void begin(LatenessState& s, const LatenessInput& in) {
  s = {};
  s.has_begun = true;
  s.sequence = in.sequence;
  s.timestamp = in.timestamp;
  s.media = in.timestamp;
  s.arrival = in.arrival_ticks;
  s.is_paused = in.is_small;
  rebase(s, in.arrival_ticks, in.arrival_ticks - s.media);
}

// Of one that is later than the limit: is it part of a backlog with fresher frames behind it?
LatenessVerdict judge_late(LatenessState& s, std::int64_t at, std::int64_t transit,
                           std::int64_t arrival_step, std::int32_t timestamp_step,
                           std::int32_t lateness) {
  if (arrival_step - timestamp_step >= jump) {
    // The head of a backlog, or of a path that became longer: what follows will tell.
    s.is_in_backlog = true;
    s.run_wall = s.run_media = 0;
    return LatenessVerdict::drop;
  }
  if (!s.is_in_backlog) {
    // Grew slowly: the path is longer now, nothing fresher is behind.
    s.mean64 += lateness - s.mean64 / 64;
    return LatenessVerdict::keep;
  }
  s.run_wall += static_cast<std::int32_t>(std::min(arrival_step, cap));
  s.run_media += static_cast<std::int32_t>(std::min<std::int64_t>(timestamp_step, cap));
  if (s.run_wall < verdict_after || s.run_wall * drain_ratio <= s.run_media)
    return LatenessVerdict::drop;
  // It plays as fast as it comes: a path shift.
  rebase(s, at, transit);
  return LatenessVerdict::keep;
}

}  // namespace

Lateness lateness(LatenessState& s, const LatenessInput& in, std::uint16_t late_ms_max) {
  const bool is_off = late_ms_max == 0;
  const std::int64_t bound = (is_off ? late_ms_while_off : late_ms_max) * ticks_per_ms;
  const std::int64_t at = in.arrival_ticks;
  const auto sequence_step = static_cast<std::int16_t>(in.sequence - s.sequence);
  const auto timestamp_step = static_cast<std::int32_t>(in.timestamp - s.timestamp);
  if (!s.has_begun || is_restart(sequence_step, timestamp_step)) {
    begin(s, in);
    return {};
  }
  const std::int64_t transit = at - (s.media + timestamp_step);
  const std::int64_t arrival_step = at - s.arrival;
  const bool is_newest = sequence_step > 0;
  if (is_newest) {
    const bool was_paused = s.is_paused;
    s.sequence = in.sequence;
    s.timestamp = in.timestamp;
    s.arrival = at;
    s.media += timestamp_step;
    s.is_paused = in.is_small;
    // A pause, not a stall: in the pauses of many clients RTP time stands still.
    if (arrival_step >= forget_after || (was_paused && arrival_step - timestamp_step > bound)) {
      rebase(s, at, transit);
      return {};
    }
  }
  if (at - s.half_began >= half_window) {
    s.transit_min_before = s.transit_min;
    s.transit_min = transit;
    s.half_began = at;
  }
  s.transit_min = std::min(s.transit_min, transit);
  const auto late = static_cast<std::int32_t>(
      std::min(transit - std::min(s.transit_min, s.transit_min_before), cap));
  const std::int64_t limit = bound + 2 * s.mean64 / 64;
  LatenessVerdict verdict = LatenessVerdict::keep;
  if (!is_newest) {
    if (late > limit) verdict = LatenessVerdict::drop;
  } else if (late <= limit) {
    s.is_in_backlog = false;
    s.mean64 += late - s.mean64 / 64;
  } else {
    verdict = judge_late(s, at, transit, arrival_step, timestamp_step, late);
  }
  return {is_off ? LatenessVerdict::keep : verdict, late};
}

}  // namespace earshot
