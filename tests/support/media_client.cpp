#include "tests/support/media_client.h"

#include <cstring>

#include "relay/wire/rtp.h"

namespace earshot::test {

MediaClient::MediaClient(Ssrc ssrc, crypto::AeadMode mode,
                         std::span<const std::uint8_t, crypto::key_size> key, std::uint32_t counter,
                         CounterOrder order)
    : ssrc_(ssrc), counter_(counter), order_(order) {
  key_.set(mode, key);
}

crypto::Counter MediaClient::counter_bytes(std::uint32_t counter) const {
  crypto::Counter bytes{
      static_cast<std::uint8_t>(counter >> 24), static_cast<std::uint8_t>(counter >> 16),
      static_cast<std::uint8_t>(counter >> 8), static_cast<std::uint8_t>(counter)};
  if (order_ == CounterOrder::little_endian) {
    std::swap(bytes[0], bytes[3]);
    std::swap(bytes[1], bytes[2]);
  }
  return bytes;
}

std::vector<std::uint8_t> MediaClient::seal(std::uint16_t sequence, std::uint32_t timestamp,
                                            std::span<const std::uint8_t> frame) {
  std::array<std::uint8_t, wire::rtp_header_size> header;
  wire::write_rtp_header(header, sequence, timestamp, ssrc_);
  return seal_raw(header, frame);
}

std::vector<std::uint8_t> MediaClient::seal_raw(std::span<const std::uint8_t> header,
                                                std::span<const std::uint8_t> plaintext) {
  const crypto::Counter counter = counter_bytes(counter_++);
  std::vector<std::uint8_t> datagram(header.size() + plaintext.size() + crypto::tag_size +
                                     crypto::counter_size);
  std::copy(header.begin(), header.end(), datagram.begin());
  std::copy(plaintext.begin(), plaintext.end(),
            datagram.begin() + static_cast<std::ptrdiff_t>(header.size()));
  const std::span<std::uint8_t> body{datagram.data() + header.size(),
                                     plaintext.size() + crypto::tag_size};
  key_.seal(body, plaintext.size(), header, counter);
  std::copy(counter.begin(), counter.end(), datagram.end() - crypto::counter_size);
  return datagram;
}

std::optional<ReceivedPacket> MediaClient::open(std::span<const std::uint8_t> datagram) const {
  constexpr std::size_t overhead = wire::rtp_header_size + crypto::tag_size + crypto::counter_size;
  // Clients accept exactly this (docs/protocol.md): version 2, no padding, CSRC or extension;
  // payload type 120, no marker.
  if (datagram.size() <= overhead || datagram[0] != 0x80 || datagram[1] != 0x78)
    return std::nullopt;
  const auto header = wire::parse_rtp(datagram);
  if (!header) return std::nullopt;
  ReceivedPacket packet{header->ssrc, header->sequence, header->timestamp, {}, {}};
  std::copy(datagram.end() - crypto::counter_size, datagram.end(), packet.counter.begin());
  std::vector<std::uint8_t> body(datagram.begin() + wire::rtp_header_size,
                                 datagram.end() - crypto::counter_size);
  if (body[0] == 0xBE && body[1] == 0xDE) return std::nullopt;
  if (!key_.open(body, datagram.first(wire::rtp_header_size), packet.counter)) return std::nullopt;
  body.resize(body.size() - crypto::tag_size);
  packet.frame = std::move(body);
  return packet;
}

}  // namespace earshot::test
