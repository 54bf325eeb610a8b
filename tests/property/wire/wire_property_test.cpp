// What is written is read back the same, what is random is read within its bounds.
#include <doctest/doctest.h>

#include <random>

#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"

using namespace earshot;
using namespace earshot::wire;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes random_bytes(std::mt19937_64& random, std::size_t size) {
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

void put(Bytes& out, std::uint64_t value, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

// A packet in RFC 3550's own words.
struct Packet {
  bool has_padding = false;
  bool has_extension = false;
  std::vector<std::uint32_t> sources;
  bool marker = false;
  std::uint8_t payload_type = 0;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0;
  std::uint16_t profile = 0xBEDE;
  Bytes extension;  // whole words
  Bytes frame;
  std::uint8_t padding = 0;

  Bytes clear() const {
    Bytes out;
    put(out, 0x80u | (has_padding ? 0x20u : 0u) | (has_extension ? 0x10u : 0u) | sources.size(), 1);
    put(out, (marker ? 0x80u : 0u) | payload_type, 1);
    put(out, sequence, 2);
    put(out, timestamp, 4);
    put(out, ssrc, 4);
    for (const std::uint32_t source : sources) put(out, source, 4);
    if (has_extension) {
      put(out, profile, 2);
      put(out, extension.size() / 4, 2);
    }
    return out;
  }

  Bytes plaintext() const {
    Bytes out = extension;
    out.insert(out.end(), frame.begin(), frame.end());
    if (has_padding) {
      out.resize(out.size() + padding);
      out.back() = padding;
    }
    return out;
  }
};

Packet random_packet(std::mt19937_64& random) {
  Packet packet;
  packet.has_padding = random() % 2 == 0;
  packet.has_extension = random() % 2 == 0;
  packet.sources.resize(random() % 16);
  for (auto& source : packet.sources) source = static_cast<std::uint32_t>(random());
  packet.marker = random() % 2 == 0;
  packet.payload_type = static_cast<std::uint8_t>(random() % 128);
  packet.sequence = static_cast<std::uint16_t>(random());
  packet.timestamp = static_cast<std::uint32_t>(random());
  packet.ssrc = static_cast<std::uint32_t>(random());
  packet.profile = static_cast<std::uint16_t>(random());
  if (packet.has_extension) packet.extension = random_bytes(random, random() % 20 * 4);
  packet.frame = random_bytes(random, random() % 200);
  packet.padding = static_cast<std::uint8_t>(1 + random() % 255);
  return packet;
}

}  // namespace

TEST_CASE("every packet that RFC 3550 knows is read as it was meant, and at every shorter size") {
  const std::uint64_t seed = 3'550;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 5'000; ++round) {
    CAPTURE(round);
    const Packet packet = random_packet(random);
    const Bytes clear = packet.clear();
    const Bytes plaintext = packet.plaintext();
    Bytes datagram = clear;
    datagram.insert(datagram.end(), plaintext.begin(), plaintext.end());

    const auto header = parse_rtp(datagram);
    REQUIRE(header.has_value());
    REQUIRE(header->clear_size == clear.size());
    REQUIRE(header->extension_size == packet.extension.size());
    REQUIRE(header->has_padding == packet.has_padding);
    REQUIRE(header->marker == packet.marker);
    REQUIRE(header->payload_type == packet.payload_type);
    REQUIRE(header->sequence == packet.sequence);
    REQUIRE(header->timestamp == packet.timestamp);
    REQUIRE(header->ssrc.value == packet.ssrc);
    const auto frame = rtp_frame(*header, plaintext);
    REQUIRE(frame.has_value());
    REQUIRE(Bytes(frame->begin(), frame->end()) == packet.frame);

    const std::size_t size = random() % (datagram.size() + 1);
    const auto cut = parse_rtp(std::span(datagram).first(size));
    REQUIRE(cut.has_value() == (size >= clear.size() + packet.extension.size()));
    if (cut) REQUIRE(cut->clear_size == header->clear_size);
  }
}

TEST_CASE("the relay's own header is read back") {
  const std::uint64_t seed = 12;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    const auto sequence = static_cast<std::uint16_t>(random());
    const auto timestamp = static_cast<std::uint32_t>(random());
    const Ssrc ssrc{static_cast<std::uint32_t>(random())};
    std::array<std::uint8_t, rtp_header_size> bytes;
    write_rtp_header(bytes, sequence, timestamp, ssrc);
    const auto header = parse_rtp(bytes);
    REQUIRE(header.has_value());
    REQUIRE(header->sequence == sequence);
    REQUIRE(header->timestamp == timestamp);
    REQUIRE(header->ssrc == ssrc);
    REQUIRE(header->payload_type == opus_payload_type);
    REQUIRE_FALSE(header->marker);
    REQUIRE_FALSE(header->has_padding);
    REQUIRE(header->clear_size == rtp_header_size);
    REQUIRE(header->extension_size == 0);
  }
}

TEST_CASE("random bytes: whatever is understood lies inside them") {
  const std::uint64_t seed = 13;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  int parsed = 0;
  for (int round = 0; round < 100'000; ++round) {
    Bytes bytes = random_bytes(random, random() % 120);
    if (!bytes.empty() && random() % 2 == 0)
      bytes[0] = static_cast<std::uint8_t>(0x80 | bytes[0] >> 2);
    const DatagramKind kind = classify(bytes);
    const auto header = parse_rtp(bytes);
    // Every RTP packet is classified so, unless RTCP's range says otherwise.
    if (header) REQUIRE((kind == DatagramKind::rtp || kind == DatagramKind::rtcp));
    if (kind == DatagramKind::rtcp) REQUIRE(rtcp_sender(bytes).has_value());
    if (!header) continue;
    ++parsed;
    REQUIRE(header->clear_size + header->extension_size <= bytes.size());
    const std::span<const std::uint8_t> plaintext = std::span(bytes).subspan(header->clear_size);
    const auto frame = rtp_frame(*header, plaintext);
    if (!frame) continue;
    const auto before = static_cast<std::size_t>(frame->data() - plaintext.data());
    REQUIRE(before == header->extension_size);
    REQUIRE(before + frame->size() + (header->has_padding ? plaintext.back() : 0) ==
            plaintext.size());
  }
  CHECK(parsed > 10'000);
}

TEST_CASE("every address and port comes back out of a discovery reply") {
  const std::uint64_t seed = 14;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    IpAddress address;
    for (auto& byte : address.bytes) {
      // Runs of zeros are what the text form shortens.
      byte = random() % 2 == 0 ? 0 : static_cast<std::uint8_t>(random());
    }
    if (random() % 2 == 0) {
      address = make_v4(address.bytes[0], address.bytes[1], address.bytes[2], address.bytes[3]);
    }
    const Endpoint seen{address, static_cast<std::uint16_t>(random())};
    const Ssrc ssrc{static_cast<std::uint32_t>(random())};
    std::array<std::uint8_t, discovery_size> datagram;
    write_discovery_reply(datagram, ssrc, seen);
    const auto parsed = parse_discovery_reply(datagram);
    REQUIRE(parsed.has_value());
    REQUIRE(parsed->ssrc == ssrc);
    REQUIRE(parsed->seen == seen);
  }
}
