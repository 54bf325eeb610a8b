// AudioSystem and its streams on PortAudio's callback interface.
#include <portaudio.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "codec/opus.h"
#include "tools/client/audio_device.h"

namespace earshot::client {
namespace {

// What most cards manage without gaps; a person does not notice it.
constexpr double latency_min = 0.015;

std::string reason(PaError error) {
  if (error == paUnanticipatedHostError) {
    const PaHostErrorInfo* host = Pa_GetLastHostErrorInfo();
    const bool has_text = host != nullptr && host->errorText != nullptr && *host->errorText != 0;
    if (has_text) return host->errorText;
  }
  if (error == paDeviceUnavailable) return "it is in use, or cannot be opened";
  return Pa_GetErrorText(error);
}

AudioDevice describe(PaDeviceIndex index) {
  const PaDeviceInfo& info = *Pa_GetDeviceInfo(index);
  AudioDevice device;
  device.index = index;
  device.name = info.name;
  const PaHostApiInfo* host = Pa_GetHostApiInfo(info.hostApi);
  if (host != nullptr) device.host = host->name;
  device.inputs = info.maxInputChannels;
  device.outputs = info.maxOutputChannels;
  device.rate = info.defaultSampleRate;
  device.is_default_input = index == Pa_GetDefaultInputDevice();
  device.is_default_output = index == Pa_GetDefaultOutputDevice();
  return device;
}

// What the card's thread sees. Outlives its stream where that cannot be closed.
struct Callback {
  AudioInput on_input;
  AudioOutputFill on_output;
  // Only the watch reads it: nothing hangs on its order.
  std::atomic<std::uint64_t> samples{0};
  // Pairs with the acquire in run(): whoever the callback feeds may be gone.
  std::atomic<bool> is_closed{false};

  static int run(const void* input, void* output, unsigned long frames,
                 const PaStreamCallbackTimeInfo*, PaStreamCallbackFlags, void* context) {
    auto& callback = *static_cast<Callback*>(context);
    if (callback.is_closed.load(std::memory_order_acquire)) return paAbort;
    if (input != nullptr && callback.on_input) {
      callback.on_input({static_cast<const std::int16_t*>(input), frames});
    }
    if (output != nullptr && callback.on_output) {
      callback.on_output({static_cast<std::int16_t*>(output), frames});
    }
    callback.samples.fetch_add(frames, std::memory_order_relaxed);
    return paContinue;
  }
};

// A stream of a card that was pulled out may never end: PortAudio's thread then tries for ever to
// start the card again, and waits for itself if it is interrupted in that.
std::atomic<bool> is_stuck{false};

bool close_in_time(PaStream* stream) {
  auto closed = std::make_shared<std::promise<void>>();
  std::future<void> when = closed->get_future();
  std::thread([stream, closed] {
    Pa_StopStream(stream);
    Pa_CloseStream(stream);
    closed->set_value();
  }).detach();
  return when.wait_for(std::chrono::milliseconds(500)) == std::future_status::ready;
}

class PortAudioStream : public AudioStream {
 public:
  PortAudioStream(AudioDevice device, int rate)
      : device_(std::move(device)),
        rate_(rate),
        watch_(rate),
        callback_(std::make_unique<Callback>()) {}
  ~PortAudioStream() override {
    if (stream_ == nullptr) return;
    callback_->is_closed.store(true, std::memory_order_release);
    if (close_in_time(stream_)) return;
    // The process ends soon; until then somebody may still look at this.
    is_stuck = true;
    static_cast<void>(callback_.release());
  }
  PortAudioStream(const PortAudioStream&) = delete;
  PortAudioStream& operator=(const PortAudioStream&) = delete;

  // Before open().
  Callback& callback() { return *callback_; }

  PaError open(const PaStreamParameters* input, const PaStreamParameters* output) {
    return Pa_OpenStream(&stream_, input, output, rate_, paFramesPerBufferUnspecified, paNoFlag,
                         &Callback::run, callback_.get());
  }

  const AudioDevice& device() const override { return device_; }
  int rate() const override { return rate_; }

  Result<void> start() override {
    const PaError error = Pa_StartStream(stream_);
    if (error != paNoError) return Error{device_.name + ": " + reason(error)};
    return {};
  }

  std::string trouble(Time now) override {
    const std::string what =
        Pa_IsStreamActive(stream_) != 1
            ? "it has stopped"
            : watch_.step(now, callback_->samples.load(std::memory_order_relaxed));
    return what.empty() ? "" : device_.name + ": " + what;
  }

 private:
  AudioDevice device_;
  int rate_;
  StreamWatch watch_;
  std::unique_ptr<Callback> callback_;
  PaStream* stream_ = nullptr;
};

class PortAudioSystem : public AudioSystem {
 public:
  PortAudioSystem() = default;
  ~PortAudioSystem() override {
    // It would wait for the streams.
    if (!is_stuck) Pa_Terminate();
  }
  PortAudioSystem(const PortAudioSystem&) = delete;
  PortAudioSystem& operator=(const PortAudioSystem&) = delete;

  std::vector<AudioDevice> devices() const override {
    std::vector<AudioDevice> devices;
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); ++i) devices.push_back(describe(i));
    return devices;
  }

  Result<std::unique_ptr<AudioStream>> open_input(
      const AudioDevice& device, const std::function<AudioInput(int rate)>& make) override {
    const PaStreamParameters parameters =
        make_parameters(device.index, Pa_GetDeviceInfo(device.index)->defaultLowInputLatency);
    const int rate = choose_rate(device, &parameters, nullptr);
    auto stream = std::make_unique<PortAudioStream>(device, rate);
    stream->callback().on_input = make(rate);
    return opened(std::move(stream), &parameters, nullptr);
  }

  Result<std::unique_ptr<AudioStream>> open_output(
      const AudioDevice& device, const std::function<AudioOutputFill(int rate)>& make) override {
    const PaStreamParameters parameters =
        make_parameters(device.index, Pa_GetDeviceInfo(device.index)->defaultLowOutputLatency);
    const int rate = choose_rate(device, nullptr, &parameters);
    auto stream = std::make_unique<PortAudioStream>(device, rate);
    stream->callback().on_output = make(rate);
    return opened(std::move(stream), nullptr, &parameters);
  }

 private:
  static PaStreamParameters make_parameters(int index, double latency) {
    PaStreamParameters parameters{};
    parameters.device = index;
    parameters.channelCount = 1;
    parameters.sampleFormat = paInt16;
    parameters.suggestedLatency = std::max(latency, latency_min);
    return parameters;
  }

  static int choose_rate(const AudioDevice& device, const PaStreamParameters* input,
                         const PaStreamParameters* output) {
    const bool is_supported =
        Pa_IsFormatSupported(input, output, codec::sample_rate) == paFormatIsSupported;
    return is_supported ? codec::sample_rate : static_cast<int>(std::lround(device.rate));
  }

  static Result<std::unique_ptr<AudioStream>> opened(std::unique_ptr<PortAudioStream> stream,
                                                     const PaStreamParameters* input,
                                                     const PaStreamParameters* output) {
    const PaError error = stream->open(input, output);
    if (error != paNoError) return Error{stream->device().name + ": " + reason(error)};
    return std::unique_ptr<AudioStream>(std::move(stream));
  }
};

}  // namespace

Result<std::unique_ptr<AudioSystem>> AudioSystem::open() {
  // Looking for a JACK server must not start one.
  setenv("JACK_NO_START_SERVER", "1", 0);
  const PaError error = Pa_Initialize();
  if (error != paNoError) return Error{"PortAudio does not work here: " + reason(error)};
  return std::unique_ptr<AudioSystem>(std::make_unique<PortAudioSystem>());
}

bool AudioSystem::has_stuck_stream() {
  return is_stuck;
}

}  // namespace earshot::client
