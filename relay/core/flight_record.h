// The words of the flight recorder: what is kept of a packet, and how a stream's policy state is
// written down beside it. Pure, any thread; shared by the worker that writes, by dumps and by
// whoever reads them (docs/operations.md, "Recordings"). There is no place in it for a payload, a
// key or an address.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "relay/base/ids.h"
#include "relay/base/time.h"
#include "relay/core/lateness.h"
#include "relay/observe/drop_reason.h"

namespace earshot::flight {

// Of the frame: no more than what the policy looks at, and whether it could be speech at a common
// rate. Exact sizes would tell what is said (speech of a variable bit rate).
enum class SizeClass : std::uint8_t {
  small,     // at most 3 bytes: silence, DTX
  ordinary,  // up to 255
  large,
  count
};

constexpr SizeClass size_class(std::size_t frame_size) {
  if (frame_size <= 3) return SizeClass::small;
  return frame_size <= 255 ? SizeClass::ordinary : SizeClass::large;
}

struct Packet {
  Time arrival;
  Ssrc ssrc;
  std::uint32_t timestamp = 0;
  std::uint16_t sequence = 0;
  std::uint16_t late_ms_max = 0;  // in force for it; 0: off
  SizeClass size = SizeClass::small;
  DropReason reason = DropReason::none;  // none: kept
  bool was_fresh = false;  // the policy's state was all zero before it (if it reached that step)

  // Every step before it answered "go on".
  constexpr bool reached_late_step() const {
    return reason == DropReason::none || reason == DropReason::late;
  }
  bool operator==(const Packet&) const = default;
};

// A record's first word has its kind in the highest byte, and that says how many words it has.
enum class Kind : std::uint8_t { none, packet, state, count };

constexpr std::size_t packet_words = 3;
constexpr std::size_t state_words = 10;

constexpr Kind kind(std::uint64_t first_word) {
  const auto byte = static_cast<std::uint8_t>(first_word >> 56);
  return byte < static_cast<std::uint8_t>(Kind::count) ? static_cast<Kind>(byte) : Kind::none;
}

// sequence 16 | late_ms_max 16 | size class 8 | reason 8 | flags 8 | kind 8, from the lowest bit
// on; SSRC 32 | time stamp 32; arrival. Flags: 1 = was fresh, 2 = reached the late step.
constexpr std::array<std::uint64_t, packet_words> packet_record(const Packet& p) {
  const std::uint64_t flags = (p.was_fresh ? 1U : 0U) | (p.reached_late_step() ? 2U : 0U);
  return {
      p.sequence | std::uint64_t{p.late_ms_max} << 16 | static_cast<std::uint64_t>(p.size) << 32 |
          static_cast<std::uint64_t>(p.reason) << 40 | flags << 48 |
          static_cast<std::uint64_t>(Kind::packet) << 56,
      p.ssrc.value | std::uint64_t{p.timestamp} << 32, static_cast<std::uint64_t>(p.arrival.ns)};
}

// The numbers of the reasons stand in files: another order is another version of the format.
static_assert(static_cast<int>(DropReason::none) == 0 && static_cast<int>(DropReason::stale) == 1 &&
              static_cast<int>(DropReason::not_allowed) == 13 &&
              static_cast<int>(DropReason::muted) == 14 &&
              static_cast<int>(DropReason::rate) == 15 &&
              static_cast<int>(DropReason::duplicate) == 16 &&
              static_cast<int>(DropReason::speakers) == 17 &&
              static_cast<int>(DropReason::late) == 18);

// Of a stream, before the packet that follows it next.
struct State {
  Ssrc ssrc;
  LatenessState lateness;

  bool operator==(const State&) const = default;
};

std::array<std::uint64_t, state_words> state_record(const State& state);

// Both take exactly the words of such a record. False: no recorder has written that.
[[nodiscard]] bool read_packet(std::span<const std::uint64_t, packet_words> words, Packet& packet);
[[nodiscard]] bool read_state(std::span<const std::uint64_t, state_words> words, State& state);

// Can this be a state of the policy that meets this arrival? What no relay could have written might
// overflow it.
bool is_plausible(const LatenessState& state);
bool is_plausible(Time arrival);

}  // namespace earshot::flight
