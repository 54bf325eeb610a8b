#include "tools/earshot/talk_conversation.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "crypto/keys.h"
#include "tools/client/audio_output.h"
#include "tools/client/voice_client.h"
#include "tools/earshot/command.h"
#include "tools/earshot/crash_watch.h"
#include "tools/earshot/interrupt.h"
#include "tools/earshot/quiet_libraries.h"
#include "tools/earshot/talk_audio.h"
#include "tools/earshot/talk_display.h"
#include "tools/earshot/talk_report.h"
#include "tools/earshot/terminal_keys.h"

namespace earshot::tools {
namespace {

// Ten times a second.
constexpr Duration look_time = milliseconds(100);
// Louder than the rest of a voice that fell silent.
constexpr double speaking_threshold = -55.0;
constexpr char end_of_input = 4;  // Ctrl-D

class Conversation {
 public:
  explicit Conversation(const TalkOptions& options)
      : options_(options),
        recorder_(options.record, options.record_format == "ogg" ? client::RecordFormat::ogg
                                                                 : client::RecordFormat::wav),
        output_(STDOUT_FILENO),
        look_timer_(loop_.get(), [this] { look(); }) {
    if (!uses_devices()) return;
    crash_watch_.emplace();
    quiet_.emplace();
  }
  ~Conversation() {
    client_.reset();
    audio_.reset();
    // Standard error is not for what its thread has to say.
    if (quiet_ && client::AudioSystem::has_stuck_stream()) quiet_->stay();
  }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  int run() {
    display_.emplace(quiet_ ? quiet_->messages() : stderr, wants_meters());
    if (!crypto::initialize()) return fail("libsodium does not work here");
    const auto tls = gateway::TlsContext::make_client(options_.ca);
    if (!tls) return fail(tls.error().text);
    const auto prepared = prepare(tls.value());
    if (!prepared) return fail(prepared.error().text);
    client::Timer limit(loop_.get(), [this] { client_->leave(); });
    limit_ = &limit;
    const Interrupt interrupt(loop_.get(), [this] { client_->leave(); });
    client_->start();
    if (audio_) look();
    loop_.run();
    limit_ = nullptr;
    keys_.reset();
    const int status = finish();
    client_.reset();
    return status;
  }

 private:
  bool uses_devices() const { return options_.microphone || options_.loudspeaker; }
  bool wants_meters() const { return uses_devices() && !options_.json && options_.listen != "-"; }

  int fail(const std::string& text) {
    display_->tell(text);
    return exit_failed;
  }

  Result<void> prepare(const gateway::TlsContext& tls) {
    auto options = make_client_options();
    if (!options) return options.error();
    std::unique_ptr<client::FrameSource> source;
    if (!options_.play.empty()) {
      auto made = client::make_source(options_.play);
      if (!made) return made.error();
      source = std::move(made.value());
    }
    if (uses_devices()) {
      const auto opened = open_devices();
      if (!opened) return opened.error();
      if (audio_->microphone() != nullptr) source = audio_->make_source();
    }
    if (!options_.record.empty()) {
      const auto opened = recorder_.open();
      if (!opened) return opened.error();
    }
    auto created =
        client::VoiceClient::create(loop_.get(), tls, std::move(options.value()), make_events());
    if (!created) return created.error();
    client_ = std::move(created.value());
    if (source) client_->play(std::move(source));
    return {};
  }

  Result<void> open_devices() {
    const bool needs_keys = options_.microphone && options_.talk_mode != client::TalkMode::open;
    const bool has_terminal = options_.play != "-" && isatty(STDIN_FILENO) == 1;
    if (needs_keys && !has_terminal) {
      return Error{"--mic needs a terminal on standard input for its key; --open-mic needs none"};
    }
    TalkAudioOptions options;
    options.microphone = options_.microphone;
    options.loudspeaker = options_.loudspeaker;
    options.gate = {options_.talk_mode, !options_.has_headphones, options_.threshold};
    auto opened = TalkAudio::open(options);
    if (!opened) return opened.error();
    audio_ = std::move(opened.value());
    if (!has_terminal) return {};
    auto keys = TerminalKeys::open(loop_.get(), make_key_events());
    if (!keys) return keys.error();
    keys_ = std::move(keys.value());
    return {};
  }

  KeyEvents make_key_events() {
    KeyEvents events;
    events.on_key = [this](char key) {
      if (key == ' ') audio_->gate().on_key(client::monotonic_now());
      if (key == 'q' || key == 'Q' || key == end_of_input) client_->leave();
    };
    events.on_stop = [this] {
      audio_->gate().close();
      display_->clear();
    };
    events.on_continue = [] {};
    events.on_hangup = [this] { client_->leave(); };
    return events;
  }

  Result<client::VoiceClientOptions> make_client_options() {
    client::VoiceClientOptions options;
    auto target = client::SocketTarget::parse(options_.endpoint);
    if (!target) return Error{"--endpoint: " + target.error().text};
    options.signalling.target = target.value();
    options.signalling.token = options_.token;
    options.signalling.version = options_.version;
    if (options_.mode == "gcm") options.mode = crypto::AeadMode::aes256_gcm_rtpsize;
    if (options_.mode == "xchacha") options.mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
    if (!options_.media.empty()) {
      options.media_remote = Endpoint::parse(options_.media);
      if (!options.media_remote) return Error{"--media-endpoint is not ADDRESS:PORT"};
    }
    options.hearing.finds_tones = true;
    if (!options_.record.empty()) options.hearing.recorder = &recorder_;
    return options;
  }

  client::VoiceClientEvents make_events() {
    client::VoiceClientEvents events;
    events.on_joined = [this] { on_joined(); };
    events.on_resumed = [this] { display_->tell("resumed"); };
    events.on_interrupted = [this](client::AfterClose next, const client::SignallingEnd& reason) {
      // Who is there is told anew.
      if (next == client::AfterClose::identify) present_.clear();
      display_->tell("interrupted: " + reason.text);
    };
    events.on_said = [this] {
      if (leaves_when_said()) client_->leave();
    };
    events.on_client_connect = [this](const std::string& user) { present_.insert(user); };
    events.on_client_disconnect = [this](const std::string& user) { present_.erase(user); };
    events.on_ended = [this](const client::SignallingEnd& end) {
      end_ = end;
      loop_.stop();
    };
    if (options_.listen == "-" || audio_) {
      events.on_audio = [this](std::span<const std::int16_t> pcm) { on_audio(pcm); };
    }
    return events;
  }

  void on_audio(std::span<const std::int16_t> pcm) {
    if (audio_) audio_->on_audio(pcm);
    if (options_.listen == "-" && !output_.write(pcm)) client_->leave();
  }

  // Who came to hear something stays.
  bool leaves_when_said() const {
    if (options_.seconds) return false;
    return options_.play == "-" ||
           (options_.listen.empty() && options_.record.empty() && !options_.loudspeaker);
  }

  void on_joined() {
    if (std::exchange(was_joined_, true)) return;
    joined_at_ = client::monotonic_now();
    display_->tell(client_->claims().user_id + " joined channel " + client_->claims().channel_id +
                   ", media " + client_->media_remote().to_string() + ", " +
                   std::string(crypto::name(client_->mode())));
    if (audio_) display_->tell(audio_->describe());
    if (options_.seconds && limit_ != nullptr) {
      limit_->start(nanoseconds(static_cast<std::int64_t>(*options_.seconds * 1e9)));
    }
  }

  // Ten times a second: are the devices well, and what is there to see?
  void look() {
    look_timer_.start(look_time);
    quiet_->discard();
    const Time now = client::monotonic_now();
    if (trouble_.empty()) {
      trouble_ = audio_->trouble(now);
      if (!trouble_.empty()) client_->leave();
    }
    if (keys_ && !keys_->is_in_foreground()) return;
    if (display_->has_meters()) {
      display_->show(make_screen(now));
    } else if (audio_->gate().mode() != client::TalkMode::open) {
      const bool is_open = audio_->gate().is_open();
      if (is_open != std::exchange(was_open_, is_open)) {
        display_->tell(is_open ? "microphone on" : "microphone off");
      }
    }
  }

  TalkScreen make_screen(Time now) const {
    TalkScreen screen;
    screen.channel_id = client_->claims().channel_id;
    screen.user_id = client_->claims().user_id;
    screen.is_joined = client_->is_joined();
    screen.time = now - joined_at_;
    screen.has_keys = keys_ != nullptr;
    screen.has_loudspeaker = audio_->loudspeaker() != nullptr;
    const client::TalkGate& gate = audio_->gate();
    screen.mode = gate.mode();
    screen.is_muted = screen.has_loudspeaker && gate.mutes_others();
    if (const auto* microphone = audio_->microphone()) {
      using Microphone = TalkScreen::Microphone;
      screen.microphone = gate.is_open()        ? Microphone::open
                          : gate.is_held_back() ? Microphone::held_back
                                                : Microphone::closed;
      screen.own = {microphone->meter().level(), microphone->meter().peak()};
    }
    std::map<std::string, TalkScreen::Participant> rows;
    for (const std::string& user : present_) rows[user].user_id = user;
    for (const auto& speaker : client_->levels()) {
      const std::string name =
          speaker.user_id.empty() ? "ssrc " + std::to_string(speaker.ssrc.value) : speaker.user_id;
      rows[name] = {name, {speaker.level, speaker.peak}, speaker.level > speaking_threshold};
    }
    rows.erase(screen.user_id);
    for (auto& [name, row] : rows) screen.participants.push_back(std::move(row));
    return screen;
  }

  // What to do about it.
  std::string hint() const {
    const bool is_distrust = end_.text.find("certificate verify failed") != std::string::npos;
    return is_distrust ? "; --ca names the authority to trust" : "";
  }

  int finish() {
    display_->clear();
    TalkReport report;
    report.was_joined = was_joined_;
    report.end = end_;
    if (was_joined_) report.time = client::monotonic_now() - joined_at_;
    if (audio_) report.audio = audio_.get();
    std::FILE* const messages = quiet_ ? quiet_->messages() : stderr;
    // Standard output may be audio.
    std::FILE* const out = options_.listen == "-" ? messages : stdout;
    if (options_.json) {
      print_json(out, *client_, report);
    } else if (was_joined_) {
      print_table(out, *client_, report);
    }
    if (!trouble_.empty()) return fail(trouble_);
    if (!end_.is_ok) return fail(end_.text + hint());
    if (!was_joined_) return fail("left before the channel was joined");
    if (!output_.error().empty()) return fail(output_.error());
    if (!recorder_.error().empty()) return fail(recorder_.error());
    return exit_ok;
  }

  const TalkOptions& options_;
  // Behind everything that prints.
  std::optional<CrashWatch> crash_watch_;
  std::optional<QuietLibraries> quiet_;
  std::optional<TalkDisplay> display_;
  client::Loop loop_;
  client::Recorder recorder_;
  client::AudioOutput output_;
  client::Timer look_timer_;
  std::unique_ptr<TalkAudio> audio_;
  std::unique_ptr<TerminalKeys> keys_;
  // Uses all of the above.
  std::unique_ptr<client::VoiceClient> client_;
  client::Timer* limit_ = nullptr;
  std::set<std::string> present_;
  bool was_joined_ = false;
  bool was_open_ = false;
  Time joined_at_;
  std::string trouble_;
  client::SignallingEnd end_;
};

nlohmann::json describe(const client::AudioDevice& device) {
  return {{"index", device.index},
          {"name", device.name},
          {"host", device.host},
          {"inputs", device.inputs},
          {"outputs", device.outputs},
          {"rate", device.rate},
          {"default_input", device.is_default_input},
          {"default_output", device.is_default_output}};
}

void print_devices(const std::vector<client::AudioDevice>& devices) {
  std::printf("%5s  %-7s %-7s %8s  %s\n", "index", "mic", "speaker", "rate", "name");
  for (const auto& device : devices) {
    const auto mark = [](int channels, bool is_default) {
      return channels == 0 ? "-" : is_default ? "default" : "yes";
    };
    std::printf("%5d  %-7s %-7s %8.0f  %s\n", device.index,
                mark(device.inputs, device.is_default_input),
                mark(device.outputs, device.is_default_output), device.rate,
                printable(device.name).c_str());
  }
}

}  // namespace

int talk(const TalkOptions& options) {
  return Conversation(options).run();
}

int list_devices(bool json) {
  const CrashWatch crash_watch;
  const QuietLibraries quiet;
  const auto system = client::AudioSystem::open();
  if (!system) {
    std::fprintf(quiet.messages(), "earshot talk: %s\n", system.error().text.c_str());
    return exit_failed;
  }
  const auto devices = system.value()->devices();
  if (json) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& device : devices) list.push_back(describe(device));
    std::printf("%s\n", list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else if (devices.empty()) {
    std::fprintf(quiet.messages(), "earshot talk: this machine has no sound devices\n");
    return exit_failed;
  } else {
    print_devices(devices);
  }
  return exit_ok;
}

}  // namespace earshot::tools
