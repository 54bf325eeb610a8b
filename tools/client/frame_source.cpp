#include "tools/client/frame_source.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <numbers>
#include <span>

#include "codec/ogg_reader.h"
#include "codec/toc.h"
#include "codec/wav.h"

namespace earshot::client {
namespace {

constexpr std::size_t frame_samples = codec::frame_samples_20ms;
constexpr double tone_amplitude = 32'767 * 0.3548;  // a sine of -12 dBFS: peak at -9

// Has nothing to say and never will, but does not end either.
class SilenceSource : public FrameSource {
 public:
  std::optional<std::vector<std::uint8_t>> next() override { return std::nullopt; }
};

std::optional<std::vector<std::uint8_t>> to_frame(std::vector<std::uint8_t> packet) {
  if (packet.empty()) return std::nullopt;
  return packet;
}

bool is_ogg(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "OggS", 4) == 0;
}

bool are_20ms(const std::vector<std::vector<std::uint8_t>>& packets) {
  return std::all_of(packets.begin(), packets.end(), [](const auto& packet) {
    const auto description = codec::describe_packet(packet);
    return description && description->samples() == codec::frame_samples_20ms;
  });
}

Result<std::vector<std::int16_t>> decode(const std::string& path,
                                         std::span<const std::uint8_t> bytes) {
  std::string error;
  auto samples =
      is_ogg(bytes) ? codec::decode_ogg_opus(bytes, error) : codec::parse_wav(bytes, error);
  if (!samples) return Error{path + ": " + error};
  return std::move(*samples);
}

Result<std::unique_ptr<FrameSource>> make_file_source(const std::string& path) {
  std::string error;
  const auto bytes = codec::read_file(path, error);
  if (!bytes) return Error{error};
  if (is_ogg(*bytes)) {
    auto file = codec::read_ogg_opus(*bytes, error);
    if (!file) return Error{path + ": " + error};
    if (are_20ms(file->packets)) {
      return std::unique_ptr<FrameSource>(std::make_unique<PacketSource>(std::move(file->packets)));
    }
  }
  auto samples = decode(path, *bytes);
  if (!samples) return samples.error();
  return std::unique_ptr<FrameSource>(std::make_unique<PcmSource>(std::move(samples.value())));
}

Result<std::unique_ptr<FrameSource>> make_tone_source(const std::string& text) {
  double hz = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), hz);
  if (status != std::errc{} || end != text.data() + text.size() || !(hz >= 20 && hz <= 20'000)) {
    return Error{"tone:" + text + ": the frequency must be 20 to 20000 Hz"};
  }
  return std::unique_ptr<FrameSource>(std::make_unique<ToneSource>(hz));
}

// More than half of an ordinary pipe: its writer waits for us.
constexpr std::size_t held_back_bytes = 32'768;

// Of what is no pipe nothing is ever left out.
std::size_t bytes_in_pipe(int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISFIFO(status.st_mode)) return held_back_bytes + 1;
  int bytes = 0;
  if (ioctl(descriptor, FIONREAD, &bytes) != 0) return held_back_bytes + 1;
  return static_cast<std::size_t>(bytes);
}

}  // namespace

PcmSource::PcmSource(std::vector<std::int16_t> samples, const codec::EncoderOptions& options)
    : samples_(std::move(samples)), encoder_(options) {
  samples_.resize((samples_.size() + frame_samples - 1) / frame_samples * frame_samples);
}

std::optional<std::vector<std::uint8_t>> PcmSource::next() {
  if (is_finished()) return std::nullopt;
  const auto frame = std::span(samples_).subspan(position_, frame_samples);
  position_ += frame_samples;
  return to_frame(encoder_.encode(frame));
}

ToneSource::ToneSource(double hz) : step_(2 * std::numbers::pi * hz / codec::sample_rate) {}

std::optional<std::vector<std::uint8_t>> ToneSource::next() {
  std::array<std::int16_t, frame_samples> frame;
  for (std::int16_t& sample : frame) {
    sample = static_cast<std::int16_t>(std::lround(tone_amplitude * std::sin(phase_)));
    phase_ = std::fmod(phase_ + step_, 2 * std::numbers::pi);
  }
  return to_frame(encoder_.encode(frame));
}

std::optional<std::vector<std::uint8_t>> PacketSource::next() {
  if (is_finished()) return std::nullopt;
  return packets_[position_++];
}

void DescriptorSource::fill() {
  // Half a second: a fast writer is held back by its pipe, not buffered here.
  constexpr std::size_t buffer_max = 25 * frame_bytes;
  std::array<std::uint8_t, 16'384> block;
  while (!is_ended_ && buffer_.size() < buffer_max) {
    pollfd ready{descriptor_, POLLIN, 0};
    if (poll(&ready, 1, 0) != 1) return;
    const ssize_t got = read(descriptor_, block.data(), block.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) is_ended_ = true;
    if (got > 0) buffer_.insert(buffer_.end(), block.begin(), block.begin() + got);
  }
  // The last frame is filled up with silence.
  if (is_ended_) buffer_.resize((buffer_.size() + frame_bytes - 1) / frame_bytes * frame_bytes);
}

// What never got shorter over a second is delay that the recorder's grain does not ask for.
void DescriptorSource::catch_up() {
  constexpr int window_calls = 50;
  constexpr std::size_t tolerated = 4 * frame_bytes;
  constexpr std::size_t kept = 2 * frame_bytes;
  const std::size_t in_pipe = bytes_in_pipe(descriptor_);
  const std::size_t waiting = buffer_.size() + in_pipe;
  waiting_min_ = calls_ == 0 ? waiting : std::min(waiting_min_, waiting);
  was_held_back_ = (calls_ != 0 && was_held_back_) || in_pipe > held_back_bytes;
  if (++calls_ < window_calls) return;
  calls_ = 0;
  if (was_held_back_ || is_ended_ || waiting_min_ <= tolerated) return;
  std::size_t excess = (waiting_min_ - kept) / frame_bytes;
  while (excess > 0 && buffer_.size() >= frame_bytes) {
    const std::size_t frames = std::min(excess, buffer_.size() / frame_bytes);
    const auto bytes = static_cast<std::ptrdiff_t>(frames * frame_bytes);
    buffer_.erase(buffer_.begin(), buffer_.begin() + bytes);
    excess -= frames;
    skipped_ += frames;
    fill();
  }
}

std::optional<std::vector<std::uint8_t>> DescriptorSource::next() {
  fill();
  catch_up();
  // A recorder delivers in periods of its own; three frames bridge their grain.
  if (!is_filled_) is_filled_ = is_ended_ || buffer_.size() >= 3 * frame_bytes;
  if (buffer_.size() < frame_bytes) is_filled_ = is_ended_;
  if (!is_filled_ || buffer_.size() < frame_bytes) return std::nullopt;
  std::array<std::int16_t, frame_samples> frame;
  for (std::size_t i = 0; i < frame.size(); ++i) {
    frame[i] = static_cast<std::int16_t>(buffer_[2 * i] | buffer_[2 * i + 1] << 8);
  }
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(frame_bytes));
  return to_frame(encoder_.encode(frame));
}

Result<std::unique_ptr<FrameSource>> make_source(const std::string& description) {
  constexpr std::string_view tone = "tone:";
  if (description == "silence")
    return std::unique_ptr<FrameSource>(std::make_unique<SilenceSource>());
  if (description == "-") {
    return std::unique_ptr<FrameSource>(std::make_unique<DescriptorSource>(STDIN_FILENO));
  }
  if (description.starts_with(tone)) return make_tone_source(description.substr(tone.size()));
  return make_file_source(description);
}

Result<std::vector<std::int16_t>> load_samples(const std::string& path) {
  std::string error;
  const auto bytes = codec::read_file(path, error);
  if (!bytes) return Error{error};
  return decode(path, *bytes);
}

}  // namespace earshot::client
