#include "relay/wire/rtp.h"

namespace earshot::wire {
namespace {

constexpr std::uint8_t version_mask = 0xC0;
constexpr std::uint8_t version_2 = 0x80;
constexpr std::uint8_t padding_bit = 0x20;
constexpr std::uint8_t extension_bit = 0x10;
constexpr std::uint8_t csrc_count_mask = 0x0F;
constexpr std::uint8_t marker_bit = 0x80;
// RFC 5761 s4: what distinguishes RTCP from RTP on one port.
constexpr std::uint8_t rtcp_first = 200;
constexpr std::uint8_t rtcp_last = 207;

std::uint16_t read_u16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

std::uint32_t read_u32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return std::uint32_t{read_u16(bytes, at)} << 16 | read_u16(bytes, at + 2);
}

bool is_short_keep_alive(std::span<const std::uint8_t> d) {
  return d.size() == 4 && d[0] == 0x80 && d[1] == 0xC8 && d[2] == 0 && d[3] == 0;
}

bool is_discovery(std::span<const std::uint8_t> d) {
  return d.size() == 74 && d[0] == 0 && d[1] == 1 && d[2] == 0 && d[3] == 70;
}

}  // namespace

DatagramKind classify(std::span<const std::uint8_t> d) {
  if (d.size() == 3) return DatagramKind::leftover;
  if (d.size() == 8 || is_short_keep_alive(d)) return DatagramKind::keep_alive;
  if (is_discovery(d)) return DatagramKind::discovery;
  if (d.size() < rtp_header_size) return DatagramKind::unknown;
  if ((d[0] & version_mask) == version_mask) return DatagramKind::link;
  if ((d[0] & version_mask) != version_2) return DatagramKind::unknown;
  return d[1] >= rtcp_first && d[1] <= rtcp_last ? DatagramKind::rtcp : DatagramKind::rtp;
}

std::optional<RtpHeader> parse_rtp(std::span<const std::uint8_t> d) {
  if (d.size() < rtp_header_size || (d[0] & version_mask) != version_2) return std::nullopt;
  RtpHeader header;
  header.has_padding = (d[0] & padding_bit) != 0;
  header.marker = (d[1] & marker_bit) != 0;
  header.payload_type = static_cast<std::uint8_t>(d[1] & ~marker_bit);
  header.sequence = read_u16(d, 2);
  header.timestamp = read_u32(d, 4);
  header.ssrc = {read_u32(d, 8)};
  header.clear_size = rtp_header_size + std::size_t{4} * (d[0] & csrc_count_mask);
  if ((d[0] & extension_bit) != 0) {
    header.clear_size += 4;
    if (d.size() < header.clear_size) return std::nullopt;
    header.extension_size = std::size_t{4} * read_u16(d, header.clear_size - 2);
  }
  if (d.size() < header.clear_size + header.extension_size) return std::nullopt;
  return header;
}

std::optional<std::span<const std::uint8_t>> rtp_frame(const RtpHeader& header,
                                                       std::span<const std::uint8_t> plaintext) {
  if (plaintext.size() < header.extension_size) return std::nullopt;
  auto frame = plaintext.subspan(header.extension_size);
  if (!header.has_padding) return frame;
  if (frame.empty() || frame.back() == 0 || frame.back() > frame.size()) return std::nullopt;
  return frame.first(frame.size() - frame.back());
}

void write_rtp_header(std::span<std::uint8_t, rtp_header_size> out, std::uint16_t sequence,
                      std::uint32_t timestamp, Ssrc ssrc) {
  out[0] = version_2;
  out[1] = opus_payload_type;
  out[2] = static_cast<std::uint8_t>(sequence >> 8);
  out[3] = static_cast<std::uint8_t>(sequence);
  for (std::size_t i = 0; i < 4; ++i) {
    out[4 + i] = static_cast<std::uint8_t>(timestamp >> (24 - 8 * i));
    out[8 + i] = static_cast<std::uint8_t>(ssrc.value >> (24 - 8 * i));
  }
}

std::optional<Ssrc> rtcp_sender(std::span<const std::uint8_t> d) {
  if (d.size() < 8) return std::nullopt;
  return Ssrc{read_u32(d, 4)};
}

}  // namespace earshot::wire
