#include "tools/replay/udp_frame.h"

#include <pcap/dlt.h>

#include <algorithm>

namespace earshot::replay {
namespace {

using View = std::span<const std::uint8_t>;

constexpr std::uint16_t ether_ipv4 = 0x0800;
constexpr std::uint16_t ether_ipv6 = 0x86DD;
constexpr std::uint8_t protocol_udp = 17;
constexpr std::uint16_t hardware_loopback = 772;  // ARPHRD_LOOPBACK
constexpr std::uint16_t cooked_outgoing = 4;
// LINKTYPE_RAW and what BSDs call it.
constexpr int raw_link_types[] = {12, 14, 101};

std::uint16_t read_u16(View bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

bool is_raw(int link_type) {
  return std::find(std::begin(raw_link_types), std::end(raw_link_types), link_type) !=
         std::end(raw_link_types);
}

Skip read_udp(View bytes, UdpDatagram& datagram) {
  constexpr std::size_t header_size = 8;
  if (bytes.size() < header_size) return Skip::cut;
  datagram.flow.from.port = read_u16(bytes, 0);
  datagram.flow.to.port = read_u16(bytes, 2);
  const std::size_t size = read_u16(bytes, 4);
  if (size < header_size) return Skip::malformed;
  datagram.size = size - header_size;
  const View rest = bytes.subspan(header_size);
  // What is behind it is padding of the link.
  datagram.captured = rest.first(std::min(rest.size(), datagram.size));
  return Skip::count;
}

// RFC 791 s3.1.
Skip read_ipv4(View bytes, UdpDatagram& datagram) {
  if (bytes.size() < 20) return Skip::cut;
  const std::size_t header_size = std::size_t{4} * (bytes[0] & 0x0Fu);
  if (bytes[0] >> 4 != 4 || header_size < 20) return Skip::malformed;
  if (bytes[9] != protocol_udp) return Skip::not_udp;
  const std::uint16_t more_fragments_and_offset = read_u16(bytes, 6) & 0x3FFF;
  if (more_fragments_and_offset != 0) return Skip::fragment;
  if (bytes.size() < header_size) return Skip::cut;
  datagram.flow.from.ip = make_v4(bytes[12], bytes[13], bytes[14], bytes[15]);
  datagram.flow.to.ip = make_v4(bytes[16], bytes[17], bytes[18], bytes[19]);
  return read_udp(bytes.subspan(header_size), datagram);
}

// RFC 8200 s4: walks over the extension headers.
Skip read_ipv6_payload(std::uint8_t next, View bytes, UdpDatagram& datagram) {
  constexpr std::uint8_t hop_by_hop = 0, routing = 43, fragment = 44, authentication = 51,
                         destination = 60, mobility = 135;
  for (int headers = 0; headers < 16; ++headers) {
    if (next == protocol_udp) return read_udp(bytes, datagram);
    std::size_t size = 8;
    const bool is_known = next == hop_by_hop || next == routing || next == fragment ||
                          next == authentication || next == destination || next == mobility;
    if (!is_known) return Skip::not_udp;
    if (bytes.size() < size) return Skip::cut;
    if (next == authentication) {
      size = (bytes[1] + std::size_t{2}) * 4;
    } else if (next == fragment) {
      // One that is whole all the same (RFC 6946) goes on.
      if ((read_u16(bytes, 2) & 0xFFF9) != 0) return Skip::fragment;
    } else {
      size = (bytes[1] + std::size_t{1}) * 8;
    }
    if (bytes.size() < size) return Skip::cut;
    next = bytes[0];
    bytes = bytes.subspan(size);
  }
  return Skip::malformed;
}

Skip read_ipv6(View bytes, UdpDatagram& datagram) {
  if (bytes.size() < 40) return Skip::cut;
  if (bytes[0] >> 4 != 6) return Skip::malformed;
  std::copy_n(bytes.begin() + 8, 16, datagram.flow.from.ip.bytes.begin());
  std::copy_n(bytes.begin() + 24, 16, datagram.flow.to.ip.bytes.begin());
  return read_ipv6_payload(bytes[6], bytes.subspan(40), datagram);
}

// The version says what it is.
Skip read_ip(View bytes, UdpDatagram& datagram) {
  if (bytes.empty()) return Skip::cut;
  if (bytes[0] >> 4 == 4) return read_ipv4(bytes, datagram);
  if (bytes[0] >> 4 == 6) return read_ipv6(bytes, datagram);
  return Skip::not_udp;
}

// Behind an EtherType; tags of IEEE 802.1Q and 802.1ad stand in front of the real one.
Skip read_typed(std::uint16_t type, View bytes, UdpDatagram& datagram) {
  for (int tags = 0; tags < 4 && (type == 0x8100 || type == 0x88A8 || type == 0x9100); ++tags) {
    if (bytes.size() < 4) return Skip::cut;
    type = read_u16(bytes, 2);
    bytes = bytes.subspan(4);
  }
  if (type == ether_ipv4) return read_ipv4(bytes, datagram);
  if (type == ether_ipv6) return read_ipv6(bytes, datagram);
  return Skip::not_udp;
}

// Linux's cooked captures: all devices at once. What goes through the loopback device is seen
// twice there, on its way out and on its way in.
struct Cooked {
  std::size_t header_size;
  std::size_t packet_type_at;
  std::size_t packet_type_size;
  std::size_t hardware_at;
  std::size_t protocol_at;
};

Skip read_cooked(const Cooked& layout, View frame, UdpDatagram& datagram) {
  if (frame.size() < layout.header_size) return Skip::cut;
  const std::uint16_t packet_type = layout.packet_type_size == 1
                                        ? frame[layout.packet_type_at]
                                        : read_u16(frame, layout.packet_type_at);
  const bool is_loopback = read_u16(frame, layout.hardware_at) == hardware_loopback;
  if (is_loopback && packet_type == cooked_outgoing) return Skip::loopback_copy;
  return read_typed(read_u16(frame, layout.protocol_at), frame.subspan(layout.header_size),
                    datagram);
}

}  // namespace

bool is_known_link(int link_type) {
  switch (link_type) {
    case DLT_EN10MB:
    case DLT_LINUX_SLL:
    case DLT_LINUX_SLL2:
    case DLT_IPV4:
    case DLT_IPV6:
    case DLT_NULL:
    case DLT_LOOP:
      return true;
    default:
      return is_raw(link_type);
  }
}

Skip find_udp(int link_type, View frame, UdpDatagram& datagram) {
  switch (link_type) {
    case DLT_EN10MB:
      if (frame.size() < 14) return Skip::cut;
      return read_typed(read_u16(frame, 12), frame.subspan(14), datagram);
    case DLT_LINUX_SLL:
      return read_cooked({16, 0, 2, 2, 14}, frame, datagram);
    case DLT_LINUX_SLL2:
      return read_cooked({20, 10, 1, 8, 0}, frame, datagram);
    case DLT_IPV4:
      return read_ipv4(frame, datagram);
    case DLT_IPV6:
      return read_ipv6(frame, datagram);
    case DLT_NULL:
    case DLT_LOOP:
      // The four bytes in front are an address family, whose number each system has for itself.
      if (frame.size() < 4) return Skip::cut;
      return read_ip(frame.subspan(4), datagram);
    default:
      return is_raw(link_type) ? read_ip(frame, datagram) : Skip::not_udp;
  }
}

}  // namespace earshot::replay
