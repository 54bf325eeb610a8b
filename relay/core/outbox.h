// What one call of the core yields: bounded lists over one byte arena. Owned by the caller (worker,
// simulator, test); allocated once. The caller drains it, or feeds more while has_room() says that
// a full fan-out still fits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/check.h"
#include "relay/base/ids.h"
#include "relay/base/limits.h"
#include "relay/base/time.h"
#include "relay/core/command.h"

namespace earshot {

// A datagram with the addresses it came from and to. `bytes` may be changed in place (decryption).
struct Datagram {
  Endpoint remote;
  IpAddress local;  // the address that was spoken to; unspecified if unknown
  Time arrival;     // the kernel's receive stamp on the monotonic clock
  std::span<std::uint8_t> bytes;
};

// An authenticated packet on its way to another worker (or, later, over a link).
struct OpenedPacket {
  SlotRef publisher;
  ChannelRef channel;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  Time arrival;
  bool has_priority = false;
  std::span<const std::uint8_t> frame;
};

struct OutDatagram {
  Endpoint remote;
  IpAddress local;  // leave from here; unspecified: the kernel chooses
  std::uint32_t offset = 0;
  std::uint16_t size = 0;
  SlotIndex slot;  // whose datagram it is (an ICMP error stops that slot); discovery replies:
                   // has_slot is false
  bool has_slot = false;
};

struct OutForward {
  WorkerMask targets = 0;
  OpenedPacket packet;  // `frame` points into the arena
};

// A datagram that the kernel steered to the wrong worker.
struct OutHandOver {
  WorkerIndex target;
  Datagram datagram;  // `bytes` points into the arena
};

class Outbox {
 public:
  Outbox();

  // True while one more call of the core, with its largest fan-out, fits.
  bool has_room() const {
    return datagrams_.size() + limits::fanout_datagrams_max <= limits::outbox_datagrams_max &&
           used_ + limits::fanout_datagrams_max * limits::datagram_size_max +
                   2 * limits::datagram_size_max <=
               arena_.size() &&
           forwards_.size() < forwards_.capacity() && hand_overs_.size() < hand_overs_.capacity();
  }
  bool is_empty() const { return datagrams_.empty() && forwards_.empty() && hand_overs_.empty(); }

  std::span<const OutDatagram> datagrams() const { return datagrams_; }
  std::span<const OutForward> forwards() const { return forwards_; }
  std::span<const OutHandOver> hand_overs() const { return hand_overs_; }
  std::span<std::uint8_t> bytes(const OutDatagram& d) { return {arena_.data() + d.offset, d.size}; }
  void clear();

  // The core's half. `allocate` takes arena space of exactly `size` bytes.
  std::span<std::uint8_t> allocate(std::size_t size);
  void push(const Endpoint& remote, const IpAddress& local,
            std::span<const std::uint8_t> allocated);
  void push(const Endpoint& remote, const IpAddress& local, std::span<const std::uint8_t> allocated,
            SlotIndex slot);
  void push(const OutForward& forward);     // `frame` inside the arena
  void push(const OutHandOver& hand_over);  // `bytes` inside the arena

 private:
  std::vector<std::uint8_t> arena_;
  std::vector<OutDatagram> datagrams_;
  std::vector<OutForward> forwards_;
  std::vector<OutHandOver> hand_overs_;
  std::size_t used_ = 0;
};

}  // namespace earshot
