// Strong identifiers: no raw integers cross an interface. Any thread.
// The SSRC of a stream is its address in the service (docs/protocol.md, "SSRC layout").
#pragma once

#include <compare>
#include <cstdint>

namespace earshot {

// Which worker of this node, 0 to 63.
struct WorkerIndex {
  std::uint8_t value = 0;
  constexpr auto operator<=>(const WorkerIndex&) const = default;
};

// Which slot of a worker, 0 to 65,535 (bounded by limits.h).
struct SlotIndex {
  std::uint16_t value = 0;
  constexpr auto operator<=>(const SlotIndex&) const = default;
};

// Which relay node of the cluster, 0 to 1,023; 0 is a node on its own.
struct NodeId {
  std::uint16_t value = 0;
  constexpr auto operator<=>(const NodeId&) const = default;
};

// node (10 bits) | worker (6 bits) | slot (16 bits). RFC 3550 s3 calls it the synchronization
// source.
struct Ssrc {
  std::uint32_t value = 0;

  constexpr auto operator<=>(const Ssrc&) const = default;
  constexpr NodeId node() const { return {static_cast<std::uint16_t>(value >> 22)}; }
  constexpr WorkerIndex worker() const { return {static_cast<std::uint8_t>((value >> 16) & 0x3F)}; }
  constexpr SlotIndex slot() const { return {static_cast<std::uint16_t>(value & 0xFFFF)}; }

  // STUN's magic cookie (RFC 8489 s5) stands where IP discovery and RTCP carry an SSRC.
  static constexpr std::uint32_t stun_cookie = 0x2112A442;
  // 0 and STUN's cookie are never given out.
  constexpr bool is_assignable() const { return value != 0 && value != stun_cookie; }
};

constexpr Ssrc make_ssrc(NodeId node, WorkerIndex worker, SlotIndex slot) {
  return {static_cast<std::uint32_t>(node.value & 0x3FF) << 22 |
          static_cast<std::uint32_t>(worker.value & 0x3F) << 16 | slot.value};
}

// Counts the lives of a slot or a channel index, so that a message about an earlier life is
// recognised.
struct Generation {
  std::uint32_t value = 0;
  constexpr auto operator<=>(const Generation&) const = default;
};

// Index of a channel in the tables of every worker of this node, below limits::channels_max.
struct ChannelIndex {
  std::uint32_t value = 0;
  constexpr auto operator<=>(const ChannelIndex&) const = default;
};

// One life of a slot.
struct SlotRef {
  Ssrc ssrc;
  Generation generation;
  constexpr auto operator<=>(const SlotRef&) const = default;
};

// One life of a channel index.
struct ChannelRef {
  ChannelIndex index;
  Generation generation;
  constexpr auto operator<=>(const ChannelRef&) const = default;
};

}  // namespace earshot
