#include "relay/core/flight_record.h"

namespace earshot::flight {
namespace {

constexpr std::uint64_t pair(std::uint32_t low, std::uint32_t high) {
  return low | std::uint64_t{high} << 32;
}
constexpr std::uint32_t low(std::uint64_t word) {
  return static_cast<std::uint32_t>(word);
}
constexpr std::uint32_t high(std::uint64_t word) {
  return static_cast<std::uint32_t>(word >> 32);
}
constexpr std::uint8_t byte(std::uint64_t word, int index) {
  return static_cast<std::uint8_t>(word >> (8 * index));
}

constexpr std::uint8_t flag_fresh = 1;
constexpr std::uint8_t flag_reached = 2;
constexpr std::uint8_t flags_known = flag_fresh | flag_reached;

bool is_recorded(std::uint8_t reason) {
  switch (static_cast<DropReason>(reason)) {
    case DropReason::none:
    case DropReason::stale:
    case DropReason::not_allowed:
    case DropReason::muted:
    case DropReason::rate:
    case DropReason::duplicate:
    case DropReason::speakers:
    case DropReason::late:
      return true;
    default:
      return false;
  }
}

// 48 kHz ticks of 23 years, and of hours: no sum of a few of them overflows.
constexpr std::int64_t ticks_max = std::int64_t{1} << 45;
constexpr std::int32_t run_max = 1 << 29;
constexpr std::int32_t mean64_max = 64 * 480'000;
constexpr std::int64_t arrival_max = std::int64_t{1} << 59;  // 18 years of a monotonic clock

constexpr bool is_within(std::int64_t value, std::int64_t bound) {
  return value >= -bound && value <= bound;
}

}  // namespace

std::array<std::uint64_t, state_words> state_record(const State& state) {
  const LatenessState& s = state.lateness;
  const std::uint64_t flags =
      (s.has_begun ? 1U : 0U) | (s.is_in_backlog ? 2U : 0U) | (s.is_paused ? 4U : 0U);
  return {static_cast<std::uint64_t>(Kind::state) << 56 | flags << 16 | s.sequence,
          pair(state.ssrc.value, s.timestamp),
          static_cast<std::uint64_t>(s.media),
          static_cast<std::uint64_t>(s.arrival),
          static_cast<std::uint64_t>(s.transit_min),
          static_cast<std::uint64_t>(s.transit_min_before),
          static_cast<std::uint64_t>(s.half_began),
          static_cast<std::uint32_t>(s.mean64),
          static_cast<std::uint32_t>(s.run_wall),
          static_cast<std::uint32_t>(s.run_media)};
}

bool read_packet(std::span<const std::uint64_t, packet_words> words, Packet& packet) {
  const std::uint64_t head = words[0];
  const std::uint8_t flags = byte(head, 6);
  if (kind(head) != Kind::packet || (flags & ~flags_known) != 0 || !is_recorded(byte(head, 5)) ||
      byte(head, 4) >= static_cast<std::uint8_t>(SizeClass::count)) {
    return false;
  }
  packet.sequence = static_cast<std::uint16_t>(head);
  packet.late_ms_max = static_cast<std::uint16_t>(head >> 16);
  packet.size = static_cast<SizeClass>(byte(head, 4));
  packet.reason = static_cast<DropReason>(byte(head, 5));
  packet.was_fresh = (flags & flag_fresh) != 0;
  packet.ssrc = {low(words[1])};
  packet.timestamp = high(words[1]);
  packet.arrival = {static_cast<std::int64_t>(words[2])};
  return packet.reached_late_step() == ((flags & flag_reached) != 0) &&
         is_plausible(packet.arrival);
}

bool read_state(std::span<const std::uint64_t, state_words> words, State& state) {
  const std::uint64_t head = words[0];
  if (kind(head) != Kind::state || (head & 0x00FF'FFFF'FFF8'0000) != 0) return false;
  LatenessState& s = state.lateness;
  s.sequence = static_cast<std::uint16_t>(head);
  s.has_begun = (head >> 16 & 1) != 0;
  s.is_in_backlog = (head >> 16 & 2) != 0;
  s.is_paused = (head >> 16 & 4) != 0;
  state.ssrc = {low(words[1])};
  s.timestamp = high(words[1]);
  s.media = static_cast<std::int64_t>(words[2]);
  s.arrival = static_cast<std::int64_t>(words[3]);
  s.transit_min = static_cast<std::int64_t>(words[4]);
  s.transit_min_before = static_cast<std::int64_t>(words[5]);
  s.half_began = static_cast<std::int64_t>(words[6]);
  s.mean64 = static_cast<std::int32_t>(low(words[7]));
  s.run_wall = static_cast<std::int32_t>(low(words[8]));
  s.run_media = static_cast<std::int32_t>(low(words[9]));
  return high(words[7]) == 0 && high(words[8]) == 0 && high(words[9]) == 0 && is_plausible(s);
}

bool is_plausible(const LatenessState& s) {
  for (const std::int64_t ticks :
       {s.media, s.arrival, s.transit_min, s.transit_min_before, s.half_began}) {
    if (!is_within(ticks, ticks_max)) return false;
  }
  return is_within(s.run_wall, run_max) && is_within(s.run_media, run_max) && s.mean64 >= 0 &&
         s.mean64 <= mean64_max;
}

bool is_plausible(Time arrival) {
  return arrival.ns >= 0 && arrival.ns <= arrival_max;
}

}  // namespace earshot::flight
