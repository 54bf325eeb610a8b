#include "codec/wav.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "codec/opus.h"
#include "codec/resample.h"

namespace earshot::codec {
namespace {

constexpr std::size_t file_size_max = 512u << 20;
constexpr std::uint32_t header_size = 44;
constexpr std::uint16_t format_pcm = 1;
constexpr std::uint16_t format_float = 3;
constexpr std::uint16_t format_extensible = 0xFFFE;

std::uint16_t read_u16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] | bytes[at + 1] << 8);
}

std::uint32_t read_u32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return read_u16(bytes, at) | static_cast<std::uint32_t>(read_u16(bytes, at + 2)) << 16;
}

bool has_text(std::span<const std::uint8_t> bytes, std::size_t at, std::string_view text) {
  return std::memcmp(bytes.data() + at, text.data(), text.size()) == 0;
}

struct Format {
  std::uint16_t tag = 0;
  std::size_t audio_channels = 0;
  int rate = 0;
  std::size_t sample_size = 0;  // bytes

  bool is_supported() const {
    const bool has_samples = (tag == format_pcm && sample_size >= 1 && sample_size <= 4) ||
                             (tag == format_float && sample_size == 4);
    return has_samples && audio_channels >= 1 && audio_channels <= 16 && rate >= 1'000 &&
           rate <= 384'000;
  }
  std::size_t block_size() const { return audio_channels * sample_size; }
  std::size_t seconds(std::size_t size) const {
    return size / block_size() / static_cast<std::size_t>(rate);
  }
};

std::optional<Format> read_format(std::span<const std::uint8_t> chunk) {
  if (chunk.size() < 16) return std::nullopt;
  Format format;
  format.tag = read_u16(chunk, 0);
  // WAVE_FORMAT_EXTENSIBLE: the real tag opens the GUID at offset 24.
  if (format.tag == format_extensible && chunk.size() >= 40) format.tag = read_u16(chunk, 24);
  format.audio_channels = read_u16(chunk, 2);
  format.rate = static_cast<int>(std::min<std::uint32_t>(read_u32(chunk, 4), 1u << 30));
  const std::uint16_t bits = read_u16(chunk, 14);
  format.sample_size = bits % 8 == 0 ? bits / 8u : 0;
  // Samples with room around them would be read as noise.
  const bool has_plain_blocks = read_u16(chunk, 12) == format.audio_channels * format.sample_size;
  if (!format.is_supported() || !has_plain_blocks) return std::nullopt;
  return format;
}

float read_sample(std::span<const std::uint8_t> bytes, std::size_t at, const Format& format) {
  if (format.tag == format_float) return std::bit_cast<float>(read_u32(bytes, at));
  // 8-bit WAV is unsigned, wider samples are signed; left-aligned in 32 bits they are all alike.
  if (format.sample_size == 1) return static_cast<float>(bytes[at] - 128) / 128.0F;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < format.sample_size; ++i) {
    value |= static_cast<std::uint32_t>(bytes[at + i]) << (8 * (4 - format.sample_size + i));
  }
  return static_cast<float>(static_cast<std::int32_t>(value)) / 2'147'483'648.0F;
}

std::vector<float> read_mono(std::span<const std::uint8_t> data, const Format& format) {
  const std::size_t block = format.block_size();
  std::vector<float> mono(data.size() / block);
  for (std::size_t i = 0; i < mono.size(); ++i) {
    float sum = 0;
    for (std::size_t channel = 0; channel < format.audio_channels; ++channel) {
      sum += read_sample(data, i * block + channel * format.sample_size, format);
    }
    mono[i] = sum / static_cast<float>(format.audio_channels);
  }
  return mono;
}

std::string system_error(const std::string& path) {
  return path + ": " + std::strerror(errno);
}

std::array<std::uint8_t, header_size> make_header(std::uint32_t data_size) {
  std::array<std::uint8_t, header_size> header{};
  const auto put = [&header](std::size_t at, std::uint32_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      header[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
  };
  std::memcpy(header.data(), "RIFF", 4);
  put(4, header_size - 8 + data_size, 4);
  std::memcpy(header.data() + 8, "WAVEfmt ", 8);
  put(16, 16, 4);
  put(20, format_pcm, 2);
  put(22, 1, 2);
  put(24, sample_rate, 4);
  put(28, sample_rate * 2, 4);
  put(32, 2, 2);
  put(34, 16, 2);
  std::memcpy(header.data() + 36, "data", 4);
  put(40, data_size, 4);
  return header;
}

}  // namespace

std::optional<std::vector<std::int16_t>> parse_wav(std::span<const std::uint8_t> bytes,
                                                   std::string& error) {
  if (bytes.size() < 12 || !has_text(bytes, 0, "RIFF") || !has_text(bytes, 8, "WAVE")) {
    error = "not a WAV file";
    return std::nullopt;
  }
  std::optional<Format> format;
  for (std::size_t at = 12; bytes.size() - at >= 8;) {
    const std::size_t rest = bytes.size() - at - 8;
    const std::size_t claimed = read_u32(bytes, at + 4);
    const auto chunk = bytes.subspan(at + 8, std::min(claimed, rest));
    if (has_text(bytes, at, "fmt ")) {
      format = read_format(chunk);
      if (!format) {
        error = "unsupported WAV format (PCM of 8 to 32 bits or 32-bit float)";
        return std::nullopt;
      }
    } else if (has_text(bytes, at, "data")) {
      if (!format) break;
      if (format->seconds(chunk.size()) * sample_rate > recording_samples_max) {
        error = "the WAV file is longer than two hours";
        return std::nullopt;
      }
      return to_pcm16(resample(read_mono(chunk, *format), format->rate, sample_rate));
    }
    // Chunks are padded to even sizes.
    if (claimed + (claimed & 1) > rest) break;
    at += 8 + claimed + (claimed & 1);
  }
  error = format ? "the WAV file has no data chunk" : "the WAV file has no fmt chunk";
  return std::nullopt;
}

std::optional<std::vector<std::uint8_t>> read_file(const std::string& path, std::string& error) {
  const std::unique_ptr<std::FILE, FileCloser> file(std::fopen(path.c_str(), "rb"));
  if (!file) {
    error = system_error(path);
    return std::nullopt;
  }
  std::vector<std::uint8_t> bytes;
  std::array<std::uint8_t, 65'536> block;
  for (std::size_t got = 0; (got = std::fread(block.data(), 1, block.size(), file.get())) > 0;) {
    bytes.insert(bytes.end(), block.begin(), block.begin() + static_cast<std::ptrdiff_t>(got));
    if (bytes.size() > file_size_max) {
      error = path + ": larger than 512 MiB";
      return std::nullopt;
    }
  }
  if (std::ferror(file.get()) != 0) {
    error = system_error(path);
    return std::nullopt;
  }
  return bytes;
}

WavWriter::~WavWriter() {
  flush();
}

WavWriter& WavWriter::operator=(WavWriter&& other) noexcept {
  flush();
  file_ = std::move(other.file_);
  data_size_ = other.data_size_;
  return *this;
}

bool WavWriter::open(const std::string& path, std::string& error) {
  flush();
  file_.reset(std::fopen(path.c_str(), "wb"));
  data_size_ = 0;
  if (!file_ || !flush()) {
    error = system_error(path);
    file_.reset();
    return false;
  }
  return true;
}

bool WavWriter::write(std::span<const std::int16_t> samples) {
  if (!file_ || samples.size() > (UINT32_MAX - header_size - data_size_) / 2) return false;
  if (samples.empty()) return true;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(samples.size() * 2);
  for (const std::int16_t sample : samples) {
    bytes.push_back(static_cast<std::uint8_t>(sample & 0xFF));
    bytes.push_back(static_cast<std::uint8_t>((sample >> 8) & 0xFF));
  }
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) return false;
  data_size_ += static_cast<std::uint32_t>(bytes.size());
  return true;
}

bool WavWriter::flush() {
  if (!file_) return false;
  const auto header = make_header(data_size_);
  return std::fseek(file_.get(), 0, SEEK_SET) == 0 &&
         std::fwrite(header.data(), 1, header.size(), file_.get()) == header.size() &&
         std::fseek(file_.get(), 0, SEEK_END) == 0 && std::fflush(file_.get()) == 0;
}

}  // namespace earshot::codec
