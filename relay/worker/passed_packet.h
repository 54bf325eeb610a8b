// What one worker passes to another: a datagram that the kernel steered to the wrong one, an opened
// packet of a channel that spans workers, or an address that ICMP calls unreachable. Fixed size, so
// that the inbox never allocates.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "relay/core/outbox.h"

namespace earshot {

class PassedPacket {
 public:
  enum class Kind : std::uint8_t { datagram, opened, unreachable };

  PassedPacket() = default;
  static PassedPacket of(const Datagram& datagram);
  static PassedPacket of(const OpenedPacket& packet);
  static PassedPacket of_unreachable(const Endpoint& remote);
  // Moves and copies take the used bytes only.
  PassedPacket(const PassedPacket& other) { *this = other; }
  PassedPacket& operator=(const PassedPacket& other);

  Kind kind() const { return kind_; }
  // Valid as long as this is.
  Datagram datagram();
  OpenedPacket opened() const;
  const Endpoint& remote() const { return remote_; }

 private:
  void take(std::span<const std::uint8_t> bytes);

  Kind kind_ = Kind::datagram;
  std::uint16_t size_ = 0;
  Endpoint remote_;
  IpAddress local_;
  Time arrival_;
  OpenedPacket opened_;
  std::array<std::uint8_t, limits::datagram_size_max> bytes_;
};

}  // namespace earshot
