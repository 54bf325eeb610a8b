// The microphone and the loudspeaker of one conversation, and the rule between them. Main thread
// only; the sound cards' threads stay inside. Ends and shows nothing by itself.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "tools/client/audio_device.h"
#include "tools/client/frame_source.h"
#include "tools/client/loudspeaker.h"
#include "tools/client/microphone.h"
#include "tools/client/spectrum.h"
#include "tools/client/talk_gate.h"

namespace earshot::tools {

struct TalkAudioOptions {
  // A device each, as the command line names it; empty for the default one.
  std::optional<std::string> microphone, loudspeaker;
  client::TalkGateOptions gate;
};

class TalkAudio {
 public:
  // Opens and starts what the options name.
  static Result<std::unique_ptr<TalkAudio>> open(const TalkAudioOptions& options);

  // What the microphone has to say; null without one. Must not outlive this.
  std::unique_ptr<client::FrameSource> make_source();
  // 20 ms of all others.
  void on_audio(std::span<const std::int16_t> pcm);
  // Empty while the devices work. Ask ten times a second.
  std::string trouble(Time now);

  client::TalkGate& gate() { return gate_; }
  // Null if there is none.
  const client::Microphone* microphone() const { return microphone_.get(); }
  const client::Loudspeaker* loudspeaker() const { return loudspeaker_.get(); }
  // What it is called, with its rate.
  std::string describe() const;

 private:
  class Source;

  explicit TalkAudio(const client::TalkGateOptions& gate) : gate_(gate) {}
  Result<void> open_microphone(const std::string& name);
  Result<void> open_loudspeaker(const std::string& name);

  client::TalkGate gate_;
  double others_level_ = client::level_silent;
  std::unique_ptr<client::Microphone> microphone_;
  std::unique_ptr<client::Loudspeaker> loudspeaker_;
  // Behind what their callbacks use, so that they end first.
  std::unique_ptr<client::AudioSystem> system_;
  std::unique_ptr<client::AudioStream> input_, output_;
};

}  // namespace earshot::tools
