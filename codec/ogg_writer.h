// Writes Ogg Opus files (RFC 7845) for tools and tests: PCM through libopusenc, or packets as they
// are through libogg. One thread each. Mono or stereo; one stream a file.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codec/wav.h"

namespace earshot::codec {

// Encodes 48 kHz mono into a file. False and a sentence in `error` if that fails.
[[nodiscard]] bool write_ogg_opus(const std::string& path, std::span<const std::int16_t> pcm,
                                  int bitrate, std::string& error);

struct OggStreamOptions {
  std::uint32_t serial = 1;
  int audio_channels = 1;
  int pre_skip = 0;  // samples at 48 kHz; a live recording starts in mid-stream and needs none
};

// Turns packets into Ogg pages; the caller stores them. Pages of at most a second.
class OggPacketWriter {
 public:
  explicit OggPacketWriter(const OggStreamOptions& options = {});
  ~OggPacketWriter();
  OggPacketWriter(OggPacketWriter&&) noexcept;
  OggPacketWriter& operator=(OggPacketWriter&&) noexcept;

  // Bytes to append to the file: none as long as the page is not full. The packet must be valid
  // Opus (it is dropped otherwise, as the file's time could not go on).
  std::vector<std::uint8_t> write(std::span<const std::uint8_t> packet);
  // Ends the stream. Nothing may be written after it.
  std::vector<std::uint8_t> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The same, straight into a file; finished on destruction.
class OggFileWriter {
 public:
  OggFileWriter() = default;
  ~OggFileWriter();
  OggFileWriter(OggFileWriter&&) noexcept = default;
  OggFileWriter& operator=(OggFileWriter&&) = delete;

  [[nodiscard]] bool open(const std::string& path, const OggStreamOptions& options,
                          std::string& error);
  bool is_open() const { return file_ != nullptr; }
  bool write(std::span<const std::uint8_t> packet);
  bool finish();

 private:
  bool store(std::span<const std::uint8_t> bytes);

  OggPacketWriter pages_;
  std::unique_ptr<std::FILE, FileCloser> file_;
};

}  // namespace earshot::codec
