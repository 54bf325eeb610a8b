// Ogg Opus files (RFC 7845) for tools and tests: decoded to PCM, or as the raw packets they hold.
// Any thread. Works on bytes in memory and never trusts them. Mapping family 0 only: one or two
// audio channels; two hours at most.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace earshot::codec {

// 48 kHz mono, pre-skip removed; nothing and a sentence in `error` if the bytes are no such file.
std::optional<std::vector<std::int16_t>> decode_ogg_opus(std::span<const std::uint8_t> bytes,
                                                         std::string& error);

struct OggOpusPackets {
  int audio_channels = 1;
  int pre_skip = 0;     // samples at 48 kHz
  int output_gain = 0;  // Q7.8 dB
  int input_rate = 0;   // as the header tells, 0 if unknown
  std::vector<std::vector<std::uint8_t>> packets;
  std::size_t gaps = 0;       // places where pages were missing or damaged
  std::size_t malformed = 0;  // packets that RFC 6716 forbids; they are left out
};

// The first Opus stream of the file. The headers (OpusHead, OpusTags) must be valid.
std::optional<OggOpusPackets> read_ogg_opus(std::span<const std::uint8_t> bytes,
                                            std::string& error);

}  // namespace earshot::codec
