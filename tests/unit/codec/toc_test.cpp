#include "codec/toc.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/support/hex.h"

using namespace earshot;
using namespace earshot::codec;
using test::from_hex;

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Config {
  OpusMode mode;
  OpusBandwidth bandwidth;
  int frame_samples;
};

// RFC 6716 s3.1, Table 2, row by row.
constexpr Config configs[32] = {
    {OpusMode::silk, OpusBandwidth::narrow, 480},
    {OpusMode::silk, OpusBandwidth::narrow, 960},
    {OpusMode::silk, OpusBandwidth::narrow, 1'920},
    {OpusMode::silk, OpusBandwidth::narrow, 2'880},
    {OpusMode::silk, OpusBandwidth::medium, 480},
    {OpusMode::silk, OpusBandwidth::medium, 960},
    {OpusMode::silk, OpusBandwidth::medium, 1'920},
    {OpusMode::silk, OpusBandwidth::medium, 2'880},
    {OpusMode::silk, OpusBandwidth::wide, 480},
    {OpusMode::silk, OpusBandwidth::wide, 960},
    {OpusMode::silk, OpusBandwidth::wide, 1'920},
    {OpusMode::silk, OpusBandwidth::wide, 2'880},
    {OpusMode::hybrid, OpusBandwidth::super_wide, 480},
    {OpusMode::hybrid, OpusBandwidth::super_wide, 960},
    {OpusMode::hybrid, OpusBandwidth::full, 480},
    {OpusMode::hybrid, OpusBandwidth::full, 960},
    {OpusMode::celt, OpusBandwidth::narrow, 120},
    {OpusMode::celt, OpusBandwidth::narrow, 240},
    {OpusMode::celt, OpusBandwidth::narrow, 480},
    {OpusMode::celt, OpusBandwidth::narrow, 960},
    {OpusMode::celt, OpusBandwidth::wide, 120},
    {OpusMode::celt, OpusBandwidth::wide, 240},
    {OpusMode::celt, OpusBandwidth::wide, 480},
    {OpusMode::celt, OpusBandwidth::wide, 960},
    {OpusMode::celt, OpusBandwidth::super_wide, 120},
    {OpusMode::celt, OpusBandwidth::super_wide, 240},
    {OpusMode::celt, OpusBandwidth::super_wide, 480},
    {OpusMode::celt, OpusBandwidth::super_wide, 960},
    {OpusMode::celt, OpusBandwidth::full, 120},
    {OpusMode::celt, OpusBandwidth::full, 240},
    {OpusMode::celt, OpusBandwidth::full, 480},
    {OpusMode::celt, OpusBandwidth::full, 960},
};

// A packet: TOC byte, then what follows, then so many bytes of frames.
Bytes packet(unsigned config, bool is_stereo, unsigned code, const Bytes& rest,
             std::size_t frame_bytes) {
  Bytes bytes(1 + rest.size() + frame_bytes, 0x55);
  bytes[0] = static_cast<std::uint8_t>(config << 3 | (is_stereo ? 4u : 0u) | code);
  std::copy(rest.begin(), rest.end(), bytes.begin() + 1);
  return bytes;
}

void check_packet(const Bytes& bytes, const Config& config, bool is_stereo,
                  const std::vector<std::uint16_t>& sizes, std::size_t padding) {
  const auto described = describe_packet(bytes);
  REQUIRE(described.has_value());
  CHECK(described->mode == config.mode);
  CHECK(described->bandwidth == config.bandwidth);
  CHECK(described->is_stereo == is_stereo);
  CHECK(described->frame_samples == config.frame_samples);
  REQUIRE(described->frame_count == sizes.size());
  CHECK(described->samples() == config.frame_samples * static_cast<int>(sizes.size()));
  CHECK(described->padding_size == padding);
  for (std::size_t i = 0; i < sizes.size(); ++i) CHECK(described->frame_sizes[i] == sizes[i]);
}

}  // namespace

TEST_CASE("all 32 configurations with all four codes, mono and stereo") {
  for (unsigned i = 0; i < 32; ++i) {
    for (const bool is_stereo : {false, true}) {
      CAPTURE(i);
      CAPTURE(is_stereo);
      const Config& config = configs[i];
      const bool fits_twice = 2 * config.frame_samples <= 5'760;
      REQUIRE(fits_twice);
      check_packet(packet(i, is_stereo, 0, {}, 7), config, is_stereo, {7}, 0);
      check_packet(packet(i, is_stereo, 1, {}, 8), config, is_stereo, {4, 4}, 0);
      check_packet(packet(i, is_stereo, 2, {3}, 8), config, is_stereo, {3, 5}, 0);
      check_packet(packet(i, is_stereo, 3, {2}, 8), config, is_stereo, {4, 4}, 0);
      check_packet(packet(i, is_stereo, 3, {0x80 | 2, 3}, 8), config, is_stereo, {3, 5}, 0);
      check_packet(packet(i, is_stereo, 3, {0x40 | 2, 5}, 8 + 5), config, is_stereo, {4, 4}, 5);
      check_packet(packet(i, is_stereo, 3, {0xC0 | 1, 5}, 8 + 5), config, is_stereo, {8}, 5);
    }
  }
}

TEST_CASE("code 3 holds every count up to 120 ms, and none beyond") {
  for (unsigned i = 0; i < 32; ++i) {
    const auto count_max = static_cast<unsigned>(5'760 / configs[i].frame_samples);
    for (unsigned count = 0; count <= 63; ++count) {
      CAPTURE(i);
      CAPTURE(count);
      const auto cbr =
          describe_packet(packet(i, false, 3, {static_cast<std::uint8_t>(count)}, 2 * count));
      REQUIRE(cbr.has_value() == (count >= 1 && count <= count_max));
      Bytes vbr{static_cast<std::uint8_t>(0x80 | count)};
      for (unsigned frame = 0; frame + 1 < count; ++frame)
        vbr.push_back(static_cast<std::uint8_t>(frame));
      const auto sum = static_cast<std::size_t>(count < 2 ? 0 : (count - 1) * (count - 2) / 2);
      const auto described = describe_packet(packet(i, false, 3, vbr, sum + 9));
      REQUIRE(described.has_value() == cbr.has_value());
      if (!described) continue;
      CHECK(cbr->frame_count == count);
      CHECK(cbr->frame_sizes[count - 1] == 2);
      CHECK(described->frame_sizes[count - 1] == 9);
      CHECK(described->samples() <= 5'760);
    }
  }
}

TEST_CASE("sizes of one and two bytes, up to the largest frame") {
  struct Row {
    Bytes coded;
    std::uint16_t size;
  };
  const Row rows[] = {
      {{0}, 0},        {{1}, 1},        {{251}, 251},        {{252, 0}, 252},     {{253, 0}, 253},
      {{255, 0}, 255}, {{252, 1}, 256}, {{255, 254}, 1'271}, {{255, 255}, 1'275},
  };
  for (const Row& row : rows) {
    CAPTURE(row.size);
    check_packet(packet(31, false, 2, row.coded, row.size + 4u), configs[31], false, {row.size, 4},
                 0);
    // One byte short.
    if (row.size > 0)
      CHECK_FALSE(describe_packet(packet(31, false, 2, row.coded, row.size - 1u)).has_value());
  }
}

TEST_CASE("padding of every length, also over several bytes") {
  struct Row {
    Bytes coded;
    std::size_t padding;
  };
  const Row rows[] = {
      {{0}, 0},
      {{1}, 1},
      {{254}, 254},
      {{255, 0}, 254},
      {{255, 1}, 255},
      {{255, 254}, 508},
      {{255, 255, 255, 3}, 765},
  };
  for (const Row& row : rows) {
    CAPTURE(row.padding);
    for (const bool is_vbr : {false, true}) {
      Bytes rest{static_cast<std::uint8_t>(0x40 | (is_vbr ? 0x80 : 0) | 1)};
      rest.insert(rest.end(), row.coded.begin(), row.coded.end());
      check_packet(packet(9, true, 3, rest, 10 + row.padding), configs[9], true, {10}, row.padding);
      check_packet(packet(9, true, 3, rest, row.padding), configs[9], true, {0}, row.padding);
      if (row.padding > 0)
        CHECK_FALSE(describe_packet(packet(9, true, 3, rest, row.padding - 1)).has_value());
    }
  }
}

TEST_CASE("packets that RFC 6716 s3.4 forbids") {
  struct Row {
    std::string_view name;
    Bytes bytes;
  };
  const Row rows[] = {
      {"R1: no byte", {}},
      {"R2: a frame of 1,276 bytes", packet(31, false, 0, {}, 1'276)},
      {"R2: two equal frames of 1,276 bytes", packet(31, false, 1, {}, 2 * 1'276)},
      {"R2: a last frame of 1,276 bytes", packet(31, false, 2, {0}, 1'276)},
      {"R2: counted equal frames of 1,276 bytes", packet(31, false, 3, {2}, 2 * 1'276)},
      {"R2: a last counted frame of 1,276 bytes", packet(31, false, 3, {0x82, 0}, 1'276)},
      {"R3: two equal frames of an odd number of bytes", packet(31, false, 1, {}, 7)},
      {"R4: no size of the first frame", packet(31, false, 2, {}, 0)},
      {"R4: half a size of the first frame", packet(31, false, 2, {252}, 0)},
      {"R4: a first frame larger than all", packet(31, false, 2, {5}, 4)},
      {"R5: no count", packet(31, false, 3, {}, 0)},
      {"R5: no frame", packet(31, false, 3, {0}, 8)},
      {"R5: no frame, variable", packet(31, false, 3, {0x80}, 8)},
      {"R5: 140 ms", packet(31, false, 3, {7}, 14)},
      {"R5: 49 frames of 2.5 ms", packet(28, false, 3, {49}, 98)},
      {"R6: bytes that the frames do not share equally", packet(31, false, 3, {3}, 8)},
      {"R6: padding of more bytes than there are", packet(31, false, 3, {0x41, 9}, 8)},
      {"R6: no padding length", packet(31, false, 3, {0x41}, 0)},
      {"R6: a padding length that goes on", packet(31, false, 3, {0x41, 255}, 0)},
      {"R6: 254 bytes and no more", packet(31, false, 3, {0x41, 255}, 254)},
      {"R7: a size missing", packet(31, false, 3, {0x83, 1}, 0)},
      {"R7: half a size", packet(31, false, 3, {0x82, 255}, 0)},
      {"R7: sizes larger than all", packet(31, false, 3, {0x83, 5, 5}, 9)},
      {"R7: sizes that only the padding would fill", packet(31, false, 3, {0xC2, 4, 5}, 8)},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK_FALSE(describe_packet(row.bytes).has_value());
  }
}

TEST_CASE("what is as large as allowed is allowed") {
  check_packet(packet(31, false, 0, {}, 1'275), configs[31], false, {1'275}, 0);
  check_packet(packet(31, false, 1, {}, 2'550), configs[31], false, {1'275, 1'275}, 0);
  check_packet(packet(31, false, 2, {255, 255}, 2'550), configs[31], false, {1'275, 1'275}, 0);
  check_packet(packet(3, false, 3, {2}, 2'550), configs[3], false, {1'275, 1'275}, 0);
  check_packet(packet(0, false, 0, {}, 0), configs[0], false, {0}, 0);
  check_packet(packet(0, false, 1, {}, 0), configs[0], false, {0, 0}, 0);
}

TEST_CASE("the silence frame of the voice protocol is one frame of 20 ms") {
  check_packet(from_hex("f8fffe"), configs[31], false, {2}, 0);
}
