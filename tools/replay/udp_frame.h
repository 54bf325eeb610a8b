// From a captured frame to the UDP datagram in it: link layer, IPv4 or IPv6, UDP. Any thread; every
// read is bounds-checked; no allocation. It reassembles no fragments and checks no checksums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "relay/base/address.h"
#include "tools/replay/trace.h"

namespace earshot::replay {

struct Flow {
  Endpoint from;
  Endpoint to;

  auto operator<=>(const Flow&) const = default;
};

struct UdpDatagram {
  Flow flow;
  std::span<const std::uint8_t> captured;  // of its payload
  std::size_t size = 0;                    // of its payload on the wire
};

// Can frames of this link type (libpcap's DLT_*) be read?
bool is_known_link(int link_type);

// Skip::count: found.
Skip find_udp(int link_type, std::span<const std::uint8_t> frame, UdpDatagram& datagram);

}  // namespace earshot::replay
