#include "relay/wire/discovery.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace earshot::wire {
namespace {

constexpr std::uint16_t request_type = 1;
constexpr std::uint16_t reply_type = 2;
constexpr std::uint16_t body_length = 70;
constexpr std::size_t address_at = 8;
constexpr std::size_t address_size = 64;
constexpr std::size_t port_at = address_at + address_size;

std::uint16_t read_u16(std::span<const std::uint8_t> d, std::size_t at) {
  return static_cast<std::uint16_t>(d[at] << 8 | d[at + 1]);
}

void write_u16(std::span<std::uint8_t> d, std::size_t at, std::uint16_t value) {
  d[at] = static_cast<std::uint8_t>(value >> 8);
  d[at + 1] = static_cast<std::uint8_t>(value);
}

void write_front(std::span<std::uint8_t> d, std::uint16_t type, Ssrc ssrc) {
  std::fill(d.begin(), d.end(), std::uint8_t{0});
  write_u16(d, 0, type);
  write_u16(d, 2, body_length);
  write_u16(d, 4, static_cast<std::uint16_t>(ssrc.value >> 16));
  write_u16(d, 6, static_cast<std::uint16_t>(ssrc.value));
}

bool has_front(std::span<const std::uint8_t> d, std::uint16_t type) {
  return d.size() == discovery_size && read_u16(d, 0) == type && read_u16(d, 2) == body_length;
}

Ssrc read_ssrc(std::span<const std::uint8_t> d) {
  return {std::uint32_t{read_u16(d, 4)} << 16 | read_u16(d, 6)};
}

}  // namespace

std::optional<Ssrc> parse_discovery_request(std::span<const std::uint8_t> datagram) {
  if (!has_front(datagram, request_type)) return std::nullopt;
  return read_ssrc(datagram);
}

void write_discovery_reply(std::span<std::uint8_t, discovery_size> out, Ssrc ssrc,
                           const Endpoint& seen) {
  write_front(out, reply_type, ssrc);
  char text[address_size];
  const std::size_t size = seen.ip.write(text);
  std::memcpy(out.data() + address_at, text, size);
  write_u16(out, port_at, seen.port);
}

void write_discovery_request(std::span<std::uint8_t, discovery_size> out, Ssrc ssrc) {
  write_front(out, request_type, ssrc);
}

std::optional<DiscoveryReply> parse_discovery_reply(std::span<const std::uint8_t> datagram) {
  if (!has_front(datagram, reply_type)) return std::nullopt;
  const auto field = datagram.subspan(address_at, address_size);
  const auto end = std::find(field.begin(), field.end(), std::uint8_t{0});
  if (end == field.end()) return std::nullopt;
  const std::string_view text(reinterpret_cast<const char*>(field.data()),
                              static_cast<std::size_t>(end - field.begin()));
  const auto ip = IpAddress::parse(text);
  if (!ip) return std::nullopt;
  return DiscoveryReply{read_ssrc(datagram), {*ip, read_u16(datagram, port_at)}};
}

}  // namespace earshot::wire
