#include "tools/earshot/talk_audio.h"

#include <utility>

#include "tools/client/event_loop.h"
#include "tools/client/spectrum.h"

namespace earshot::tools {

class TalkAudio::Source : public client::FrameSource {
 public:
  explicit Source(TalkAudio& audio) : audio_(audio) {}
  std::optional<std::vector<std::uint8_t>> next() override {
    auto packet = audio_.microphone_->next(client::monotonic_now(), audio_.others_level_);
    if (audio_.loudspeaker_) audio_.loudspeaker_->mute(audio_.gate_.mutes_others());
    return packet;
  }

 private:
  TalkAudio& audio_;
};

Result<std::unique_ptr<TalkAudio>> TalkAudio::open(const TalkAudioOptions& options) {
  client::TalkGateOptions gate = options.gate;
  // Where nothing is played there is nothing to pick up.
  gate.has_echo_path = gate.has_echo_path && options.loudspeaker;
  std::unique_ptr<TalkAudio> audio(new TalkAudio(gate));
  auto system = client::AudioSystem::open();
  if (!system) return system.error();
  audio->system_ = std::move(system.value());
  if (options.microphone) {
    const auto opened = audio->open_microphone(*options.microphone);
    if (!opened) return Error{"--mic: " + opened.error().text};
  }
  if (options.loudspeaker) {
    const auto opened = audio->open_loudspeaker(*options.loudspeaker);
    if (!opened) return Error{"--speaker: " + opened.error().text};
  }
  return audio;
}

Result<void> TalkAudio::open_microphone(const std::string& name) {
  const auto device =
      client::find_audio_device(system_->devices(), name, client::AudioDirection::input);
  if (!device) return device.error();
  auto stream = system_->open_input(device.value(), [this](int rate) -> client::AudioInput {
    microphone_ = std::make_unique<client::Microphone>(rate, gate_);
    return [microphone = microphone_.get()](std::span<const std::int16_t> samples) {
      microphone->capture(samples);
    };
  });
  if (!stream) return stream.error();
  input_ = std::move(stream.value());
  return input_->start();
}

Result<void> TalkAudio::open_loudspeaker(const std::string& name) {
  const auto device =
      client::find_audio_device(system_->devices(), name, client::AudioDirection::output);
  if (!device) return device.error();
  auto stream = system_->open_output(device.value(), [this](int rate) -> client::AudioOutputFill {
    loudspeaker_ = std::make_unique<client::Loudspeaker>(rate);
    return
        [loudspeaker = loudspeaker_.get()](std::span<std::int16_t> out) { loudspeaker->play(out); };
  });
  if (!stream) return stream.error();
  output_ = std::move(stream.value());
  return output_->start();
}

std::unique_ptr<client::FrameSource> TalkAudio::make_source() {
  if (!microphone_) return nullptr;
  return std::make_unique<Source>(*this);
}

void TalkAudio::on_audio(std::span<const std::int16_t> pcm) {
  if (!loudspeaker_) return;
  others_level_ = client::level_dbfs(pcm);
  loudspeaker_->write(pcm);
}

std::string TalkAudio::trouble(Time now) {
  if (input_) {
    const std::string text = input_->trouble(now);
    if (!text.empty()) return "the microphone is gone: " + text;
  }
  if (output_) {
    const std::string text = output_->trouble(now);
    if (!text.empty()) return "the loudspeaker is gone: " + text;
  }
  return "";
}

std::string TalkAudio::describe() const {
  std::string text;
  const auto add = [&text](const char* what, const client::AudioStream* stream) {
    if (stream == nullptr) return;
    if (!text.empty()) text += ", ";
    text += what + stream->device().name + " at " + std::to_string(stream->rate()) + " Hz";
  };
  add("microphone ", input_.get());
  add("loudspeaker ", output_.get());
  return text;
}

}  // namespace earshot::tools
