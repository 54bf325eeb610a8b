// A datagram on its way to a node, with the truth about it. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "relay/base/address.h"
#include "tests/sim/life.h"

namespace earshot::sim {

enum class PacketKind : std::uint8_t {
  voice,         // sealed by the participant whose SSRC it bears
  wrong_type,    // the same with another payload type
  forged,        // with a participant's SSRC and somebody else's key
  foreign_ssrc,  // a participant's own key, another's SSRC
  garbage,
  oversize,
  rtcp,
  keep_alive,
  leftover,
  discovery
};

struct Origin {
  PacketKind kind = PacketKind::garbage;
  LifeIndex life = 0;
  std::uint32_t frame = 0;         // voice: its number
  std::uint32_t datagram = 0;      // sealed: its number under its key
  std::shared_ptr<ClientKey> key;  // sealed: under which
  // The client has come to a counter that the relay had used: it must not be accepted.
  bool is_collision = false;
};

struct Packet {
  Endpoint from;
  IpAddress local;
  std::vector<std::uint8_t> bytes;
  Origin origin;
};

// Packets by index, so that a schedule can name them; buffers are used again.
class PacketPool {
 public:
  std::size_t take() {
    if (free_.empty()) {
      packets_.emplace_back();
      return packets_.size() - 1;
    }
    const std::size_t index = free_.back();
    free_.pop_back();
    return index;
  }
  void give(std::size_t index) {
    packets_[index].origin.key.reset();
    free_.push_back(index);
  }
  Packet& operator[](std::size_t index) { return packets_[index]; }

 private:
  std::deque<Packet> packets_;
  std::vector<std::size_t> free_;
};

}  // namespace earshot::sim
