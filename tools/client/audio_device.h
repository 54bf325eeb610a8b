// Sound cards, through PortAudio: which ones there are, and a stream of samples from or to one of
// them. Loop thread, but for the callback that a stream is given: the card's own thread calls that.
// A build without PortAudio has the same functions; they say how to get it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "relay/base/time.h"

namespace earshot::client {

enum class AudioDirection : std::uint8_t { input, output };

struct AudioDevice {
  int index = 0;
  std::string name;
  std::string host;  // "ALSA", "JACK Audio Connection Kit"
  int inputs = 0, outputs = 0;
  double rate = 0;  // the device's own
  bool is_default_input = false, is_default_output = false;
};

// The device that a text means: the default one, an index, a name, or a part of just one name that
// takes that direction, whatever its case.
Result<AudioDevice> find_audio_device(const std::vector<AudioDevice>& devices,
                                      const std::string& text, AudioDirection direction);

// 16 bits, mono. The card's thread only.
using AudioInput = std::function<void(std::span<const std::int16_t>)>;
using AudioOutputFill = std::function<void(std::span<std::int16_t>)>;

class AudioStream {
 public:
  virtual ~AudioStream() = default;
  virtual const AudioDevice& device() const = 0;
  virtual int rate() const = 0;
  virtual Result<void> start() = 0;
  // Empty while all is well, else what happened to it. Ask about ten times a second.
  virtual std::string trouble(Time now) = 0;
};

// One at a time. Streams must be gone before it.
class AudioSystem {
 public:
  static Result<std::unique_ptr<AudioSystem>> open();
  // A card that was pulled out would not let its stream end: a thread goes on, and prints.
  static bool has_stuck_stream();
  virtual ~AudioSystem() = default;
  virtual std::vector<AudioDevice> devices() const = 0;
  // 48 kHz if the card can, else the card's own rate: the callback is asked for once that is known.
  virtual Result<std::unique_ptr<AudioStream>> open_input(
      const AudioDevice& device, const std::function<AudioInput(int rate)>& make) = 0;
  virtual Result<std::unique_ptr<AudioStream>> open_output(
      const AudioDevice& device, const std::function<AudioOutputFill(int rate)>& make) = 0;
};

// Notices a card that delivers nothing any more, or far too much. Any one thread; sans-IO.
class StreamWatch {
 public:
  explicit StreamWatch(int rate) : rate_(rate) {}
  // Now and then, with the number of samples so far: what is wrong, if anything is.
  std::string step(Time now, std::uint64_t samples);

 private:
  int rate_;
  bool has_seen_ = false;
  Time last_step_;
  Time changed_at_;
  Time window_began_;
  std::uint64_t window_samples_ = 0;
  std::uint64_t samples_ = 0;
};

}  // namespace earshot::client
