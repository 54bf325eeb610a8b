// Where a client's speech comes from: one Opus packet of 20 ms at a time. Loop thread only.
// Sources do not pace; the talker asks every 20 ms.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/opus.h"
#include "relay/base/result.h"

namespace earshot::client {

class FrameSource {
 public:
  virtual ~FrameSource() = default;
  // The next 20 ms; nothing while there is nothing to say.
  virtual std::optional<std::vector<std::uint8_t>> next() = 0;
  // Nothing will ever come again.
  virtual bool is_finished() const { return false; }
};

// Samples from memory, encoded as they are needed.
class PcmSource : public FrameSource {
 public:
  explicit PcmSource(std::vector<std::int16_t> samples, const codec::EncoderOptions& options = {});
  std::optional<std::vector<std::uint8_t>> next() override;
  bool is_finished() const override { return position_ >= samples_.size(); }

 private:
  std::vector<std::int16_t> samples_;
  std::size_t position_ = 0;
  codec::Encoder encoder_;
};

// A sine of -12 dBFS, for ever.
class ToneSource : public FrameSource {
 public:
  explicit ToneSource(double hz);
  std::optional<std::vector<std::uint8_t>> next() override;

 private:
  double step_;
  double phase_ = 0;
  codec::Encoder encoder_;
};

// Opus packets as they are; each must be 20 ms long.
class PacketSource : public FrameSource {
 public:
  explicit PacketSource(std::vector<std::vector<std::uint8_t>> packets)
      : packets_(std::move(packets)) {}
  std::optional<std::vector<std::uint8_t>> next() override;
  bool is_finished() const override { return position_ >= packets_.size(); }

 private:
  std::vector<std::vector<std::uint8_t>> packets_;
  std::size_t position_ = 0;
};

// s16le 48 kHz mono from a descriptor (a pipe, a terminal or a file); never waits for it.
class DescriptorSource : public FrameSource {
 public:
  explicit DescriptorSource(int descriptor) : descriptor_(descriptor) {}
  std::optional<std::vector<std::uint8_t>> next() override;
  bool is_finished() const override { return is_ended_ && buffer_.size() < frame_bytes; }

 private:
  static constexpr std::size_t frame_bytes = 2 * codec::frame_samples_20ms;
  void fill();

  int descriptor_;
  bool is_ended_ = false;
  bool is_filled_ = false;  // enough was there to start with
  std::vector<std::uint8_t> buffer_;
  codec::Encoder encoder_;
};

// "FILE.ogg", "FILE.opus", "FILE.wav", "tone:HZ", "silence" or "-" (standard input).
Result<std::unique_ptr<FrameSource>> make_source(const std::string& description);
// The samples of a WAV or Ogg Opus file, told apart by their content.
Result<std::vector<std::int16_t>> load_samples(const std::string& path);

}  // namespace earshot::client
