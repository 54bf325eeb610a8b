#include "tools/client/audio_device.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace earshot::client {
namespace {

constexpr Duration silence_max = seconds(2);
// A process that was stopped meanwhile blames nobody.
constexpr Duration step_max = seconds(1);

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool takes(const AudioDevice& device, AudioDirection direction) {
  return (direction == AudioDirection::input ? device.inputs : device.outputs) > 0;
}

const char* word(AudioDirection direction) {
  return direction == AudioDirection::input ? "microphone" : "loudspeaker";
}

Error not_found(const std::string& text) {
  return Error{text + "; earshot talk --list-devices shows what there is"};
}

}  // namespace

Result<AudioDevice> find_audio_device(const std::vector<AudioDevice>& devices,
                                      const std::string& text, AudioDirection direction) {
  if (text.empty()) {
    for (const AudioDevice& device : devices) {
      const bool is_default =
          direction == AudioDirection::input ? device.is_default_input : device.is_default_output;
      if (is_default) return device;
    }
    return Error{std::string("this machine has no ") + word(direction)};
  }
  int index = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), index);
  const bool is_index = status == std::errc{} && end == text.data() + text.size();
  std::vector<AudioDevice> found;
  for (const AudioDevice& device : devices) {
    if (!takes(device, direction)) continue;
    if (is_index ? device.index == index : device.name == text) return device;
    if (lower(device.name).find(lower(text)) != std::string::npos) found.push_back(device);
  }
  if (!is_index && found.size() == 1) return found.front();
  if (!is_index && found.size() > 1) {
    return not_found("\"" + text + "\" fits more than one " + word(direction) + ": " +
                     found[0].name + ", " + found[1].name);
  }
  return not_found(std::string("no ") + word(direction) + " is called \"" + text +
                   "\", or it is in use");
}

std::string StreamWatch::step(Time now, std::uint64_t samples) {
  if (!has_seen_ || now - last_step_ > step_max) {
    has_seen_ = true;
    changed_at_ = window_began_ = now;
    window_samples_ = samples;
  }
  last_step_ = now;
  if (samples != samples_) changed_at_ = now;
  samples_ = samples;
  if (now - changed_at_ >= silence_max) return "it has stopped";
  const Duration window = now - window_began_;
  if (window < seconds(2)) return "";
  const double expected = static_cast<double>(rate_) * static_cast<double>(window.ns) / 1e9;
  if (static_cast<double>(samples - window_samples_) > 3 * expected) {
    return "it does not keep time, as a device without a clock";
  }
  window_began_ = now;
  window_samples_ = samples;
  return "";
}

}  // namespace earshot::client
