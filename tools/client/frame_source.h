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

// s16le 48 kHz mono from a descriptor (a pipe, a terminal or a file); never waits for it. A
// recorder that delivers in real time is kept current: what piled up (before the join, or because
// its clock is faster than ours) is left out. A writer that its pipe holds back loses nothing.
class DescriptorSource : public FrameSource {
 public:
  explicit DescriptorSource(int descriptor) : descriptor_(descriptor) {}
  std::optional<std::vector<std::uint8_t>> next() override;
  bool is_finished() const override { return is_ended_ && buffer_.empty(); }

  // Left out so far, in frames of 20 ms.
  std::uint64_t skipped() const { return skipped_; }

 private:
  static constexpr std::size_t frame_bytes = 2 * codec::frame_samples_20ms;
  void fill();
  void catch_up();

  int descriptor_;
  bool is_ended_ = false;
  bool is_filled_ = false;  // enough was there to start with
  std::vector<std::uint8_t> buffer_;
  // Over the last second: how much was there at least, and whether the pipe ever held the writer
  // back.
  int calls_ = 0;
  std::size_t waiting_min_ = 0;
  bool was_held_back_ = false;
  std::uint64_t skipped_ = 0;
  codec::Encoder encoder_;
};

// "FILE.ogg", "FILE.opus", "FILE.wav", "tone:HZ", "silence" or "-" (standard input).
Result<std::unique_ptr<FrameSource>> make_source(const std::string& description);
// The samples of a WAV or Ogg Opus file, told apart by their content.
Result<std::vector<std::int16_t>> load_samples(const std::string& path);

}  // namespace earshot::client
