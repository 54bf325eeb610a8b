// The packet parser against libopus' own, over random and nearly valid packets.
#include <doctest/doctest.h>
#include <opus/opus.h>

#include <random>

#include "codec/toc.h"

using namespace earshot::codec;

namespace {

using Bytes = std::vector<std::uint8_t>;

// Mostly packets that hold together, some of them damaged.
Bytes random_packet(std::mt19937_64& random) {
  Bytes bytes;
  const auto put = [&](std::size_t value) { bytes.push_back(static_cast<std::uint8_t>(value)); };
  const std::size_t code = random() % 4;
  put((random() & 0xFC) | code);
  const std::size_t count = 1 + random() % (random() % 4 == 0 ? 63 : 6);
  std::size_t frames = random() % 300;
  if (code == 2) put(random() % 256);
  if (code == 3) {
    const bool is_vbr = random() % 2 == 0;
    const bool has_padding = random() % 2 == 0;
    put(count | (is_vbr ? 0x80u : 0u) | (has_padding ? 0x40u : 0u));
    if (has_padding) {
      const std::size_t padding = random() % 2 == 0 ? random() % 20 : 255;
      put(padding);
      if (padding == 255) put(random() % 256);
      frames += padding;
    }
    for (std::size_t i = 0; is_vbr && i + 1 < count; ++i) {
      const std::size_t size = random() % 16 == 0 ? random() % 256 : random() % 20;
      put(size);
      if (size >= 252) put(random() % 4);
      frames += size;
    }
    if (!is_vbr && random() % 4 != 0) frames = frames / count * count;
  }
  if (random() % 64 == 0) frames += 1'275;
  bytes.resize(bytes.size() + frames, 0x11);
  if (random() % 8 == 0) bytes.resize(random() % (bytes.size() + 1));
  if (!bytes.empty() && random() % 8 == 0)
    bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
  return bytes;
}

}  // namespace

TEST_CASE("describes what libopus parses, and nothing else") {
  const std::uint64_t seed = 6'716;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  int described_count = 0;
  for (int round = 0; round < 200'000; ++round) {
    CAPTURE(round);
    const Bytes bytes = random_packet(random);
    const auto described = describe_packet(bytes);
    unsigned char toc = 0;
    const unsigned char* frames[48] = {};
    opus_int16 sizes[48] = {};
    int payload_offset = 0;
    const int count = bytes.empty()
                          ? OPUS_INVALID_PACKET
                          : opus_packet_parse(bytes.data(), static_cast<opus_int32>(bytes.size()),
                                              &toc, frames, sizes, &payload_offset);
    REQUIRE(described.has_value() == (count > 0));
    if (!described) continue;
    ++described_count;
    REQUIRE(described->frame_count == static_cast<std::size_t>(count));
    std::size_t end = static_cast<std::size_t>(payload_offset);
    for (std::size_t i = 0; i < described->frame_count; ++i) {
      REQUIRE(described->frame_sizes[i] == sizes[i]);
      end += described->frame_sizes[i];
    }
    REQUIRE(end + described->padding_size == bytes.size());
    REQUIRE(described->frame_samples == opus_packet_get_samples_per_frame(bytes.data(), 48'000));
    REQUIRE(described->is_stereo == (opus_packet_get_nb_channels(bytes.data()) == 2));
    constexpr OpusBandwidth bandwidths[] = {OpusBandwidth::narrow, OpusBandwidth::medium,
                                            OpusBandwidth::wide, OpusBandwidth::super_wide,
                                            OpusBandwidth::full};
    REQUIRE(described->bandwidth ==
            bandwidths[opus_packet_get_bandwidth(bytes.data()) - OPUS_BANDWIDTH_NARROWBAND]);
    REQUIRE((described->mode == OpusMode::celt) == ((bytes[0] & 0x80) != 0));
  }
  CHECK(described_count > 50'000);
  CHECK(described_count < 190'000);
}
