#include "codec/ogg_reader.h"

#include <ogg/ogg.h>
#include <opus/opusfile.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "codec/opus.h"
#include "codec/toc.h"

namespace earshot::codec {
namespace {

constexpr const char* too_long = "the Ogg Opus file is longer than two hours";

struct OpusFileCloser {
  void operator()(OggOpusFile* file) const { op_free(file); }
};

// The owner of libogg's page and packet assembly over one span of bytes.
class PacketSource {
 public:
  explicit PacketSource(std::span<const std::uint8_t> bytes) : rest_(bytes) {
    ogg_sync_init(&sync_);
  }
  ~PacketSource() {
    ogg_sync_clear(&sync_);
    if (has_stream_) ogg_stream_clear(&stream_);
  }
  PacketSource(const PacketSource&) = delete;
  PacketSource& operator=(const PacketSource&) = delete;

  // The next packet of the first Opus stream; its bytes live until the next call.
  std::optional<std::span<const std::uint8_t>> next() {
    while (true) {
      if (has_stream_) {
        ogg_packet packet;
        const int result = ogg_stream_packetout(&stream_, &packet);
        if (result > 0) return std::span(packet.packet, static_cast<std::size_t>(packet.bytes));
        if (result < 0) ++gaps_;
        if (result != 0) continue;
        if (is_ended_) return std::nullopt;
      }
      if (!take_page()) return std::nullopt;
    }
  }

  std::size_t gaps() const { return gaps_; }

 private:
  static bool opens_opus_stream(ogg_page& page) {
    return ogg_page_bos(&page) != 0 && page.body_len >= 8 &&
           std::memcmp(page.body, "OpusHead", 8) == 0;
  }

  // Feeds bytes until a page of our stream has gone in. False at the end.
  bool take_page() {
    while (true) {
      ogg_page page;
      const int result = ogg_sync_pageout(&sync_, &page);
      if (result == 0) {
        if (!feed()) return false;
        continue;
      }
      if (result < 0) {
        gaps_ += has_stream_ ? 1 : 0;
        continue;
      }
      if (!has_stream_ && opens_opus_stream(page)) {
        has_stream_ = ogg_stream_init(&stream_, ogg_page_serialno(&page)) == 0;
      }
      // Another stream of the same file (RFC 3533 s4) is none of our business.
      if (!has_stream_ || ogg_page_serialno(&page) != stream_.serialno) continue;
      // A page of another version of Ogg is as good as a missing one.
      if (ogg_stream_pagein(&stream_, &page) != 0) {
        ++gaps_;
        continue;
      }
      is_ended_ = ogg_page_eos(&page) != 0;
      return true;
    }
  }

  bool feed() {
    constexpr std::size_t block_size = 65'536;
    const std::size_t size = std::min(rest_.size(), block_size);
    if (size == 0) return false;
    char* buffer = ogg_sync_buffer(&sync_, static_cast<long>(size));
    if (buffer == nullptr) return false;
    std::memcpy(buffer, rest_.data(), size);
    rest_ = rest_.subspan(size);
    return ogg_sync_wrote(&sync_, static_cast<long>(size)) == 0;
  }

  std::span<const std::uint8_t> rest_;
  ogg_sync_state sync_{};
  ogg_stream_state stream_{};
  bool has_stream_ = false;
  bool is_ended_ = false;
  std::size_t gaps_ = 0;
};

bool has_magic(std::span<const std::uint8_t> packet, const char* magic) {
  return packet.size() >= 8 && std::memcmp(packet.data(), magic, 8) == 0;
}

std::uint32_t read_u32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at]) | static_cast<std::uint32_t>(bytes[at + 1]) << 8 |
         static_cast<std::uint32_t>(bytes[at + 2]) << 16 |
         static_cast<std::uint32_t>(bytes[at + 3]) << 24;
}

// RFC 7845 s5.1.
bool read_head(std::span<const std::uint8_t> packet, OggOpusPackets& file, std::string& error) {
  if (!has_magic(packet, "OpusHead") || packet.size() < 19 || (packet[8] & 0xF0) != 0) {
    error = "the Ogg file has no valid OpusHead";
    return false;
  }
  if (packet[18] != 0 || packet[9] < 1 || packet[9] > 2) {
    error = "the Ogg Opus file does not have one or two audio channels";
    return false;
  }
  file.audio_channels = packet[9];
  file.pre_skip = packet[10] | packet[11] << 8;
  file.input_rate = static_cast<int>(std::min<std::uint32_t>(read_u32(packet, 12), INT32_MAX));
  file.output_gain = static_cast<std::int16_t>(packet[16] | packet[17] << 8);
  return true;
}

// RFC 7845 s5.2: every length inside must fit.
bool are_tags_valid(std::span<const std::uint8_t> packet) {
  if (!has_magic(packet, "OpusTags")) return false;
  auto rest = packet.subspan(8);
  const auto skip_text = [&rest] {
    if (rest.size() < 4 || rest.size() - 4 < read_u32(rest, 0)) return false;
    rest = rest.subspan(4u + read_u32(rest, 0));
    return true;
  };
  if (!skip_text() || rest.size() < 4) return false;
  const std::uint32_t count = read_u32(rest, 0);
  rest = rest.subspan(4);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!skip_text()) return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<std::int16_t>> decode_ogg_opus(std::span<const std::uint8_t> bytes,
                                                         std::string& error) {
  int status = 0;
  const std::unique_ptr<OggOpusFile, OpusFileCloser> file(
      op_open_memory(bytes.data(), bytes.size(), &status));
  if (!file) {
    error = "not an Ogg Opus file";
    return std::nullopt;
  }
  std::vector<std::int16_t> mono;
  std::array<std::int16_t, 2 * frame_samples_max> stereo;
  while (true) {
    const int got = op_read_stereo(file.get(), stereo.data(), static_cast<int>(stereo.size()));
    // A hole is missing audio; what follows is still good.
    if (got == OP_HOLE) continue;
    if (got == 0) return mono;
    if (got < 0) {
      error = "the Ogg Opus file is damaged";
      return std::nullopt;
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
      mono.push_back(static_cast<std::int16_t>((stereo[2 * i] + stereo[2 * i + 1]) / 2));
    }
    if (mono.size() > recording_samples_max) {
      error = too_long;
      return std::nullopt;
    }
  }
}

std::optional<OggOpusPackets> read_ogg_opus(std::span<const std::uint8_t> bytes,
                                            std::string& error) {
  PacketSource source(bytes);
  OggOpusPackets file;
  const auto head = source.next();
  if (!head) {
    error = "not an Ogg Opus file";
    return std::nullopt;
  }
  if (!read_head(*head, file, error)) return std::nullopt;
  const auto tags = source.next();
  if (!tags || !are_tags_valid(*tags)) {
    error = "the Ogg file has no valid OpusTags";
    return std::nullopt;
  }
  std::size_t samples = 0;
  while (const auto packet = source.next()) {
    const auto description = describe_packet(*packet);
    if (!description) {
      ++file.malformed;
      continue;
    }
    samples += static_cast<std::size_t>(description->samples());
    if (samples > recording_samples_max) {
      error = too_long;
      return std::nullopt;
    }
    file.packets.emplace_back(packet->begin(), packet->end());
  }
  file.gaps = source.gaps();
  return file;
}

}  // namespace earshot::codec
