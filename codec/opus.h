// Owners of an Opus encoder and decoder (libopus). One thread each. 48 kHz always; the relay never
// links this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

struct OpusEncoder;
struct OpusDecoder;

namespace earshot::codec {

constexpr int sample_rate = 48'000;
constexpr int frame_samples_20ms = 960;         // per audio channel
constexpr int frame_samples_max = 5'760;        // 120 ms, RFC 6716 s2.1.4
constexpr std::size_t packet_size_max = 1'275;  // one frame, RFC 6716 s3.2.1
// A recording in memory: two hours, 690 MB. A few bytes of a file can stand for much more.
constexpr std::size_t recording_samples_max = std::size_t{2} * 3'600 * sample_rate;

struct EncoderOptions {
  int audio_channels = 1;  // 1 or 2
  int bitrate = 48'000;    // bits a second, 6,000..510,000
  bool fec = false;        // in-band forward error correction, RFC 6716 s2.1.7
  int expected_loss_percent = 0;
  bool dtx = false;
};

class Encoder {
 public:
  explicit Encoder(const EncoderOptions& options = {});
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;
  // `pcm` is interleaved, frame_samples (120, 240, 480, 960, 1920 or 2880 per audio channel) long.
  // Empty on error.
  std::vector<std::uint8_t> encode(std::span<const std::int16_t> pcm);

 private:
  OpusEncoder* encoder_ = nullptr;
  int audio_channels_ = 1;
};

class Decoder {
 public:
  explicit Decoder(int audio_channels = 1);
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;
  // Interleaved samples of one packet; empty if the packet is not valid Opus.
  std::vector<std::int16_t> decode(std::span<const std::uint8_t> packet);
  // Packet loss concealment for `samples` per audio channel (a multiple of 120).
  std::vector<std::int16_t> conceal(int samples);
  // The lost frame before `packet`, from its in-band FEC (concealment where it has none).
  std::vector<std::int16_t> decode_fec(std::span<const std::uint8_t> packet, int samples);

 private:
  std::vector<std::int16_t> run(std::span<const std::uint8_t> packet, int samples, bool fec);

  OpusDecoder* decoder_ = nullptr;
  int audio_channels_ = 1;
};

// The frame that ends a talk spurt in the voice protocol.
inline constexpr std::uint8_t silence_frame[3] = {0xF8, 0xFF, 0xFE};

}  // namespace earshot::codec
