#include "codec/toc.h"

#include <algorithm>

namespace earshot::codec {
namespace {

constexpr std::size_t frame_size_max = 1'275;
constexpr int packet_samples_max = 5'760;

// RFC 6716 s3.1, Table 2.
void read_config(std::uint8_t toc, PacketDescription& packet) {
  const int config = toc >> 3;
  packet.is_stereo = (toc & 0x04) != 0;
  if (config < 12) {
    constexpr std::array<int, 4> samples{480, 960, 1'920, 2'880};
    packet.mode = OpusMode::silk;
    packet.bandwidth = static_cast<OpusBandwidth>(config / 4);
    packet.frame_samples = samples[static_cast<std::size_t>(config % 4)];
  } else if (config < 16) {
    packet.mode = OpusMode::hybrid;
    packet.bandwidth = config < 14 ? OpusBandwidth::super_wide : OpusBandwidth::full;
    packet.frame_samples = config % 2 == 0 ? 480 : 960;
  } else {
    constexpr std::array<OpusBandwidth, 4> bandwidths{
        OpusBandwidth::narrow, OpusBandwidth::wide, OpusBandwidth::super_wide, OpusBandwidth::full};
    packet.mode = OpusMode::celt;
    packet.bandwidth = bandwidths[static_cast<std::size_t>((config - 16) / 4)];
    packet.frame_samples = 120 << (config % 4);
  }
}

// Takes bytes from the front of what is left.
class Bytes {
 public:
  explicit Bytes(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  std::size_t size() const { return rest_.size(); }

  std::optional<std::uint8_t> take() {
    if (rest_.empty()) return std::nullopt;
    const std::uint8_t byte = rest_.front();
    rest_ = rest_.subspan(1);
    return byte;
  }

  // RFC 6716 s3.2.1: one byte, or two where the first is 252 or more.
  std::optional<std::size_t> take_frame_size() {
    const auto first = take();
    if (!first || *first < 252) return first;
    const auto second = take();
    if (!second) return std::nullopt;
    return *first + 4u * *second;
  }

  // False if there are not that many.
  bool drop_back(std::size_t count) {
    if (count > rest_.size()) return false;
    rest_ = rest_.first(rest_.size() - count);
    return true;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

// `count` frames share what is left equally.
bool read_equal_frames(std::size_t size, std::size_t count, PacketDescription& packet) {
  if (size % count != 0 || size / count > frame_size_max) return false;
  packet.frame_count = count;
  std::fill_n(packet.frame_sizes.begin(), count, static_cast<std::uint16_t>(size / count));
  return true;
}

// The first count - 1 frames have their sizes in front of all frames; the last one gets the rest.
bool read_sized_frames(Bytes bytes, std::size_t count, PacketDescription& packet) {
  std::size_t sized = 0;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    const auto size = bytes.take_frame_size();
    if (!size) return false;
    packet.frame_sizes[i] = static_cast<std::uint16_t>(*size);
    sized += *size;
  }
  if (sized > bytes.size() || bytes.size() - sized > frame_size_max) return false;
  packet.frame_sizes[count - 1] = static_cast<std::uint16_t>(bytes.size() - sized);
  packet.frame_count = count;
  return true;
}

// RFC 6716 s3.2.5: 255 stands for 254 bytes of padding and another length byte.
bool read_padding(Bytes& bytes, PacketDescription& packet) {
  std::size_t padding = 0;
  for (std::uint8_t length = 255; length == 255;) {
    const auto byte = bytes.take();
    if (!byte) return false;
    length = *byte;
    padding += length == 255 ? 254u : length;
  }
  packet.padding_size = padding;
  return bytes.drop_back(padding);
}

bool read_counted_frames(Bytes bytes, PacketDescription& packet) {
  const auto header = bytes.take();
  if (!header) return false;
  const std::size_t count = *header & 0x3F;
  if (count == 0 || packet.frame_samples * static_cast<int>(count) > packet_samples_max) {
    return false;
  }
  if ((*header & 0x40) != 0 && !read_padding(bytes, packet)) return false;
  const bool is_vbr = (*header & 0x80) != 0;
  return is_vbr ? read_sized_frames(bytes, count, packet)
                : read_equal_frames(bytes.size(), count, packet);
}

}  // namespace

std::optional<PacketDescription> describe_packet(std::span<const std::uint8_t> data) {
  Bytes bytes(data);
  const auto toc = bytes.take();
  if (!toc) return std::nullopt;
  PacketDescription packet;
  read_config(*toc, packet);
  bool is_valid = false;
  switch (*toc & 0x03) {
    case 0:
      is_valid = read_equal_frames(bytes.size(), 1, packet);
      break;
    case 1:
      is_valid = read_equal_frames(bytes.size(), 2, packet);
      break;
    case 2:
      is_valid = read_sized_frames(bytes, 2, packet);
      break;
    default:
      is_valid = read_counted_frames(bytes, packet);
      break;
  }
  if (!is_valid) return std::nullopt;
  return packet;
}

}  // namespace earshot::codec
