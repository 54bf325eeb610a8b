#include "tools/client/recorder.h"

#include <array>
#include <cctype>
#include <filesystem>
#include <system_error>

#include "codec/opus.h"
#include "codec/toc.h"

namespace earshot::client {
namespace {

constexpr std::array<std::int16_t, codec::frame_samples_20ms> silence{};
// Files stay open; more speakers than this are not recorded one by one.
constexpr std::size_t tracks_max = 512;

}  // namespace

std::string file_name(const std::string& id) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string name;
  for (const char c : id) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (std::isalnum(byte) != 0 && byte < 128) || c == '_' || c == '-' ||
                          (c == '.' && !name.empty());
    if (is_plain) {
      name += c;
    } else {
      name += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return name.empty() ? "%" : name;
}

Result<void> Recorder::open() {
  std::error_code status;
  std::filesystem::create_directories(folder_, status);
  if (status) return Error{"cannot make the folder " + folder_ + ": " + status.message()};
  std::string error;
  if (!mixed_.open(folder_ + "/mixed.wav", error)) return Error{error};
  return {};
}

Recorder::Track* Recorder::track(const std::string& speaker) {
  const auto found = tracks_.find(speaker);
  if (found != tracks_.end()) return &found->second;
  if (tracks_.size() >= tracks_max) return nullptr;
  // Percent signs never come from an id alone, so no speaker can take the mix's name.
  std::string name = file_name(speaker);
  if (name == "mixed") name = "%mixed";
  const std::string path = folder_ + "/" + name + (format_ == RecordFormat::wav ? ".wav" : ".ogg");
  Track& track = tracks_[speaker];
  const bool is_open = format_ == RecordFormat::wav ? track.wav.open(path, error_)
                                                    : track.ogg.open(path, {}, error_);
  return is_open ? &track : nullptr;
}

void Recorder::write_silence(Track& track) {
  if (format_ == RecordFormat::wav) return write_pcm(track, silence);
  write_packet(track, codec::silence_frame);
}

void Recorder::write_pcm(Track& track, std::span<const std::int16_t> pcm) {
  if (!track.wav.write(pcm)) error_ = "cannot write the recording in " + folder_;
  track.position += pcm.size();
}

void Recorder::write_packet(Track& track, std::span<const std::uint8_t> packet) {
  const auto description = codec::describe_packet(packet);
  if (!description) return;
  if (!track.ogg.write(packet)) error_ = "cannot write the recording in " + folder_;
  track.position += static_cast<std::uint64_t>(description->samples());
}

void Recorder::write(const std::string& speaker, std::uint64_t tick,
                     std::span<const std::int16_t> pcm,
                     std::span<const std::vector<std::uint8_t>> packets) {
  if (!error_.empty()) return;
  Track* const target = track(speaker);
  const std::uint64_t slot = tick * silence.size();
  // The slot is taken: by a longer packet, or by another stream of the same speaker.
  if (target == nullptr || target->position >= slot + silence.size()) return;
  while (target->position < slot && error_.empty()) write_silence(*target);
  if (format_ == RecordFormat::wav) return write_pcm(*target, pcm);
  for (const auto& packet : packets) write_packet(*target, packet);
  if (target->position <= slot) write_silence(*target);
}

void Recorder::write_mixed(std::span<const std::int16_t> pcm) {
  if (error_.empty() && !mixed_.write(pcm)) error_ = "cannot write the recording in " + folder_;
}

void Recorder::finish() {
  bool is_written = mixed_.flush();
  for (auto& [speaker, track] : tracks_) {
    const bool is_wav = format_ == RecordFormat::wav;
    is_written = (is_wav ? track.wav.flush() : track.ogg.finish()) && is_written;
  }
  if (!is_written && error_.empty()) error_ = "cannot write the recording in " + folder_;
}

}  // namespace earshot::client
