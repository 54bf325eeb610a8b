// RTP headers (RFC 3550 s5.1, extensions RFC 8285) as the voice protocol encrypts them, and what a
// datagram is at all. Any thread; every read is bounds-checked; no allocation. It never looks at
// payload bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "relay/base/ids.h"

namespace earshot::wire {

enum class DatagramKind : std::uint8_t {
  rtp,         // version 2, at least 12 bytes, payload type not in the RTCP range
  rtcp,        // version 2, at least 12 bytes, second byte 200..207 (shorter ones are none)
  discovery,   // IP discovery request: 74 bytes starting 00 01 00 46
  keep_alive,  // 8 bytes of any content, or the 4 bytes 80 C8 00 00
  leftover,    // 3 bytes: a bare Opus silence frame that one library sends at the end of speech
  link,        // first byte >= 0xC0, at least 12 bytes
  unknown
};

// What a received datagram is, from its size and first bytes.
DatagramKind classify(std::span<const std::uint8_t> datagram);

constexpr std::size_t rtp_header_size = 12;
constexpr std::uint8_t opus_payload_type = 120;  // 0x78
constexpr std::uint16_t one_byte_extension_profile = 0xBEDE;

struct RtpHeader {
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;  // 48 kHz ticks
  Ssrc ssrc;
  std::uint8_t payload_type = 0;
  bool marker = false;
  bool has_padding = false;
  // In front of the ciphertext and authenticated: 12 + 4 * CSRC count + 4 if there is an extension.
  std::size_t clear_size = rtp_header_size;
  // At the front of the plaintext: 4 * the extension's length in words; 0 without an extension.
  std::size_t extension_size = 0;
};

// Parses the clear part of an RTP packet. Nothing if it is not version 2, or shorter than its own
// header says. `datagram` is the whole datagram; sizes of tag and counter are not looked at.
std::optional<RtpHeader> parse_rtp(std::span<const std::uint8_t> datagram);

// The Opus (or end-to-end encrypted) frame inside a decrypted payload: without the extension's body
// and the padding (RFC 3550 s5.1: the last byte counts the padding, itself included). Nothing if
// those do not fit.
std::optional<std::span<const std::uint8_t>> rtp_frame(const RtpHeader& header,
                                                       std::span<const std::uint8_t> plaintext);

// Writes the plain 12-byte header: version 2, no padding, no extension, no CSRC, no marker, payload
// type 120.
void write_rtp_header(std::span<std::uint8_t, rtp_header_size> out, std::uint16_t sequence,
                      std::uint32_t timestamp, Ssrc ssrc);

// SSRC of the sender of an RTCP packet (RFC 3550 s6.4.1: offset 4). Nothing if it is too short.
std::optional<Ssrc> rtcp_sender(std::span<const std::uint8_t> datagram);

}  // namespace earshot::wire
