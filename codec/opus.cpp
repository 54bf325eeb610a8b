#include "codec/opus.h"

#include <opus/opus.h>

#include <utility>

namespace earshot::codec {
namespace {

bool is_frame_size(std::size_t samples) {
  return samples == 120 || samples == 240 || samples == 480 || samples == 960 || samples == 1'920 ||
         samples == 2'880;
}

}  // namespace

Encoder::Encoder(const EncoderOptions& options)
    : audio_channels_(options.audio_channels == 2 ? 2 : 1) {
  int error = OPUS_OK;
  encoder_ = opus_encoder_create(sample_rate, audio_channels_, OPUS_APPLICATION_VOIP, &error);
  if (error != OPUS_OK) encoder_ = nullptr;
  if (encoder_ == nullptr) return;
  opus_encoder_ctl(encoder_, OPUS_SET_BITRATE(options.bitrate));
  opus_encoder_ctl(encoder_, OPUS_SET_INBAND_FEC(options.fec ? 1 : 0));
  opus_encoder_ctl(encoder_, OPUS_SET_PACKET_LOSS_PERC(options.expected_loss_percent));
  opus_encoder_ctl(encoder_, OPUS_SET_DTX(options.dtx ? 1 : 0));
}

Encoder::~Encoder() {
  if (encoder_ != nullptr) opus_encoder_destroy(encoder_);
}

Encoder::Encoder(Encoder&& other) noexcept
    : encoder_(std::exchange(other.encoder_, nullptr)), audio_channels_(other.audio_channels_) {}

Encoder& Encoder::operator=(Encoder&& other) noexcept {
  std::swap(encoder_, other.encoder_);
  std::swap(audio_channels_, other.audio_channels_);
  return *this;
}

std::vector<std::uint8_t> Encoder::encode(std::span<const std::int16_t> pcm) {
  const auto channels = static_cast<std::size_t>(audio_channels_);
  if (encoder_ == nullptr || pcm.size() % channels != 0) return {};
  const std::size_t samples = pcm.size() / channels;
  if (!is_frame_size(samples)) return {};
  // One frame's maximum also for longer packets: a voice packet has to fit into one datagram.
  std::vector<std::uint8_t> packet(packet_size_max);
  const opus_int32 size = opus_encode(encoder_, pcm.data(), static_cast<int>(samples),
                                      packet.data(), static_cast<opus_int32>(packet.size()));
  packet.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return packet;
}

Decoder::Decoder(int audio_channels) : audio_channels_(audio_channels == 2 ? 2 : 1) {
  int error = OPUS_OK;
  decoder_ = opus_decoder_create(sample_rate, audio_channels_, &error);
  if (error != OPUS_OK) decoder_ = nullptr;
}

Decoder::~Decoder() {
  if (decoder_ != nullptr) opus_decoder_destroy(decoder_);
}

Decoder::Decoder(Decoder&& other) noexcept
    : decoder_(std::exchange(other.decoder_, nullptr)), audio_channels_(other.audio_channels_) {}

Decoder& Decoder::operator=(Decoder&& other) noexcept {
  std::swap(decoder_, other.decoder_);
  std::swap(audio_channels_, other.audio_channels_);
  return *this;
}

std::vector<std::int16_t> Decoder::decode(std::span<const std::uint8_t> packet) {
  // libopus reads an empty packet as a request for concealment; that is conceal()'s business.
  if (packet.empty()) return {};
  return run(packet, frame_samples_max, false);
}

std::vector<std::int16_t> Decoder::conceal(int samples) {
  return run({}, samples, false);
}

std::vector<std::int16_t> Decoder::decode_fec(std::span<const std::uint8_t> packet, int samples) {
  return run(packet, samples, true);
}

std::vector<std::int16_t> Decoder::run(std::span<const std::uint8_t> packet, int samples,
                                       bool fec) {
  const bool is_exact = packet.empty() || fec;
  if (decoder_ == nullptr || samples <= 0 || samples > frame_samples_max) return {};
  if (is_exact && samples % 120 != 0) return {};
  std::vector<std::int16_t> pcm(static_cast<std::size_t>(samples * audio_channels_));
  const int decoded =
      opus_decode(decoder_, packet.empty() ? nullptr : packet.data(),
                  static_cast<opus_int32>(packet.size()), pcm.data(), samples, fec ? 1 : 0);
  pcm.resize(decoded > 0 ? static_cast<std::size_t>(decoded * audio_channels_) : 0);
  return pcm;
}

}  // namespace earshot::codec
