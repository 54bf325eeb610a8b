// WAV files (RIFF) for tools and tests: in as 48 kHz mono whatever the file holds, out as 16 bits.
// One thread each. Not a general RIFF library: PCM of 8 to 32 bits and 32-bit float only,
// everything in memory.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace earshot::codec {

// Audio channels are averaged, other rates converted. Nothing and a sentence in `error` if the
// bytes are no such file, or longer than two hours. A data chunk that claims more than there is
// (writers into pipes do that) holds what is there.
std::optional<std::vector<std::int16_t>> parse_wav(std::span<const std::uint8_t> bytes,
                                                   std::string& error);

// The whole file, for parse_wav() and the Ogg reader. Refuses what is larger than 512 MiB.
std::optional<std::vector<std::uint8_t>> read_file(const std::string& path, std::string& error);

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// Writes 48 kHz mono 16 bits as it comes; the header is brought up to date by flush() and on
// destruction.
class WavWriter {
 public:
  WavWriter() = default;
  ~WavWriter();
  WavWriter(WavWriter&&) noexcept = default;
  WavWriter& operator=(WavWriter&&) noexcept;

  [[nodiscard]] bool open(const std::string& path, std::string& error);
  bool is_open() const { return file_ != nullptr; }
  // False if the disk refuses, or at the 4 GiB that RIFF's sizes can express.
  bool write(std::span<const std::int16_t> samples);
  bool flush();

 private:
  std::unique_ptr<std::FILE, FileCloser> file_;
  std::uint32_t data_size_ = 0;  // bytes
};

}  // namespace earshot::codec
