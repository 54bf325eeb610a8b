#include "relay/worker/passed_packet.h"

#include <algorithm>

namespace earshot {

PassedPacket PassedPacket::of(const Datagram& datagram) {
  PassedPacket p;
  p.kind_ = Kind::datagram;
  p.remote_ = datagram.remote;
  p.local_ = datagram.local;
  p.arrival_ = datagram.arrival;
  p.take(datagram.bytes);
  return p;
}

PassedPacket PassedPacket::of(const OpenedPacket& packet) {
  PassedPacket p;
  p.kind_ = Kind::opened;
  p.opened_ = packet;
  p.take(packet.frame);
  return p;
}

PassedPacket PassedPacket::of_unreachable(const Endpoint& remote) {
  PassedPacket p;
  p.kind_ = Kind::unreachable;
  p.remote_ = remote;
  return p;
}

PassedPacket& PassedPacket::operator=(const PassedPacket& other) {
  if (this == &other) return *this;
  kind_ = other.kind_;
  size_ = other.size_;
  remote_ = other.remote_;
  local_ = other.local_;
  arrival_ = other.arrival_;
  opened_ = other.opened_;
  std::copy_n(other.bytes_.begin(), size_, bytes_.begin());
  return *this;
}

Datagram PassedPacket::datagram() {
  return {remote_, local_, arrival_, {bytes_.data(), size_}};
}

OpenedPacket PassedPacket::opened() const {
  OpenedPacket packet = opened_;
  packet.frame = {bytes_.data(), size_};
  return packet;
}

void PassedPacket::take(std::span<const std::uint8_t> bytes) {
  RELAY_CHECK(bytes.size() <= bytes_.size());
  size_ = static_cast<std::uint16_t>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}

}  // namespace earshot
