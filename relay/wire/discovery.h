// IP discovery: a client learns the address that the relay sees. Any thread; no allocation.
// 74 bytes: type u16 (1 request, 2 reply), length u16 (70), SSRC u32, address text NUL-padded to
// 64, port u16; big-endian.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "relay/base/address.h"
#include "relay/base/ids.h"

namespace earshot::wire {

constexpr std::size_t discovery_size = 74;

// The SSRC of a request; nothing if it is not one.
std::optional<Ssrc> parse_discovery_request(std::span<const std::uint8_t> datagram);
// The reply that tells `seen` to the client. IPv4 as dotted text.
void write_discovery_reply(std::span<std::uint8_t, discovery_size> out, Ssrc ssrc,
                           const Endpoint& seen);

// The client's half, for tools and tests.
void write_discovery_request(std::span<std::uint8_t, discovery_size> out, Ssrc ssrc);
struct DiscoveryReply {
  Ssrc ssrc;
  Endpoint seen;
};
std::optional<DiscoveryReply> parse_discovery_reply(std::span<const std::uint8_t> datagram);

}  // namespace earshot::wire
