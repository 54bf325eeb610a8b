// What an Opus packet says about itself: RFC 6716 s3. Any thread; no allocation; nothing is
// decoded. Strict: a packet that breaks one of the requirements R1 to R7 of s3.4 is not described
// at all.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace earshot::codec {

enum class OpusMode : std::uint8_t { silk, hybrid, celt };
enum class OpusBandwidth : std::uint8_t { narrow, medium, wide, super_wide, full };

constexpr std::size_t frames_per_packet_max = 48;  // 120 ms of 2.5 ms frames

struct PacketDescription {
  OpusMode mode = OpusMode::silk;
  OpusBandwidth bandwidth = OpusBandwidth::narrow;
  bool is_stereo = false;
  int frame_samples = 0;  // of one frame at 48 kHz: 120 (2.5 ms) to 2,880 (60 ms)
  std::size_t frame_count = 0;
  std::size_t padding_size = 0;  // bytes at the end that belong to no frame
  std::array<std::uint16_t, frames_per_packet_max> frame_sizes{};  // bytes, the first frame_count

  int samples() const { return frame_samples * static_cast<int>(frame_count); }
};

std::optional<PacketDescription> describe_packet(std::span<const std::uint8_t> packet);

}  // namespace earshot::codec
