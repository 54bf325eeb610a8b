#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "crypto/keys.h"
#include "tools/client/audio_output.h"
#include "tools/client/voice_client.h"
#include "tools/earshot/command.h"
#include "tools/earshot/interrupt.h"
#include "tools/earshot/talk_report.h"

namespace earshot::tools {
namespace {

struct Options {
  std::string endpoint, ca, token, play, listen, record;
  std::string record_format = "wav";
  std::string mode;
  std::string media;
  std::optional<double> seconds;
  int version = 8;
  bool json = false;
};

int fail(const std::string& text) {
  std::fprintf(stderr, "earshot talk: %s\n", text.c_str());
  return exit_failed;
}

// One conversation, from the arguments to the summary.
class Conversation {
 public:
  explicit Conversation(const Options& options)
      : options_(options),
        recorder_(options.record, options.record_format == "ogg" ? client::RecordFormat::ogg
                                                                 : client::RecordFormat::wav),
        output_(STDOUT_FILENO) {}

  int run() {
    if (!crypto::initialize()) return fail("libsodium does not work here");
    const auto tls = gateway::TlsContext::make_client(options_.ca);
    if (!tls) return fail(tls.error().text);
    const auto prepared = prepare(tls.value());
    if (!prepared) return fail(prepared.error().text);
    client::Timer limit(loop_.get(), [this] { client_->leave(); });
    limit_ = &limit;
    const Interrupt interrupt(loop_.get(), [this] { client_->leave(); });
    client_->start();
    loop_.run();
    limit_ = nullptr;
    const int status = finish();
    client_.reset();
    return status;
  }

 private:
  Result<void> prepare(const gateway::TlsContext& tls) {
    auto options = make_client_options();
    if (!options) return options.error();
    std::unique_ptr<client::FrameSource> source;
    if (!options_.play.empty()) {
      auto made = client::make_source(options_.play);
      if (!made) return made.error();
      source = std::move(made.value());
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
    events.on_resumed = [] { std::fprintf(stderr, "earshot talk: resumed\n"); };
    events.on_interrupted = [](client::AfterClose, const client::SignallingEnd& reason) {
      std::fprintf(stderr, "earshot talk: interrupted: %s\n", reason.text.c_str());
    };
    events.on_said = [this] {
      if (leaves_when_said()) client_->leave();
    };
    events.on_ended = [this](const client::SignallingEnd& end) {
      end_ = end;
      loop_.stop();
    };
    if (options_.listen == "-") {
      events.on_audio = [this](std::span<const std::int16_t> pcm) {
        if (!output_.write(pcm)) client_->leave();
      };
    }
    return events;
  }

  // Who came to hear something stays.
  bool leaves_when_said() const {
    if (options_.seconds) return false;
    return options_.play == "-" || (options_.listen.empty() && options_.record.empty());
  }

  void on_joined() {
    if (std::exchange(was_joined_, true)) return;
    joined_at_ = client::monotonic_now();
    std::fprintf(stderr, "earshot talk: %s joined channel %s, media %s, %s\n",
                 client_->claims().user_id.c_str(), client_->claims().channel_id.c_str(),
                 client_->media_remote().to_string().c_str(),
                 std::string(crypto::name(client_->mode())).c_str());
    if (options_.seconds && limit_ != nullptr) {
      limit_->start(nanoseconds(static_cast<std::int64_t>(*options_.seconds * 1e9)));
    }
  }

  // What to do about it.
  std::string hint() const {
    const bool is_distrust = end_.text.find("certificate verify failed") != std::string::npos;
    return is_distrust ? "; --ca names the authority to trust" : "";
  }

  int finish() {
    TalkReport report;
    report.was_joined = was_joined_;
    report.end = end_;
    if (was_joined_) report.time = client::monotonic_now() - joined_at_;
    // Standard output may be audio.
    std::FILE* const out = options_.listen == "-" ? stderr : stdout;
    if (options_.json) {
      print_json(out, *client_, report);
    } else if (was_joined_) {
      print_table(out, *client_, report);
    }
    if (!end_.is_ok) return fail(end_.text + hint());
    if (!was_joined_) return fail("left before the channel was joined");
    if (!output_.error().empty()) return fail(output_.error());
    if (!recorder_.error().empty()) return fail(recorder_.error());
    return exit_ok;
  }

  const Options& options_;
  client::Loop loop_;
  client::Recorder recorder_;
  client::AudioOutput output_;
  std::unique_ptr<client::VoiceClient> client_;
  client::Timer* limit_ = nullptr;
  bool was_joined_ = false;
  Time joined_at_;
  client::SignallingEnd end_;
};

}  // namespace

Command make_talk_command(CLI::App& parent) {
  auto options = std::make_shared<Options>();
  CLI::App* app = parent.add_subcommand("talk", "Join a channel, speak and listen");
  app->add_option("--endpoint", options->endpoint, "The node's voice gateway, HOST:PORT")
      ->required();
  app->add_option("--ca", options->ca,
                  "PEM file with the authority to trust (default: the system's)");
  app->add_option("--token", options->token, "Join token; it names user, server and channel")
      ->required();
  app->add_option(
      "--play", options->play,
      "What to say: FILE.ogg, FILE.wav, tone:HZ, silence, or - for s16le 48 kHz mono on "
      "standard input. Leaves when it is said, unless --listen, --record or --seconds "
      "is given");
  app->add_option("--listen", options->listen,
                  "-: write what is heard to standard output, s16le 48 kHz mono")
      ->check(CLI::IsMember({"-"}));
  app->add_option("--record", options->record, "Folder for a file per speaker and mixed.wav");
  app->add_option("--record-format", options->record_format, "wav, or ogg for the packets as sent")
      ->check(CLI::IsMember({"wav", "ogg"}))
      ->capture_default_str();
  app->add_option("--seconds", options->seconds, "Leave this long after joining")
      ->check(CLI::Range(0.0, 1e7));
  app->add_option("--mode", options->mode, "Encryption mode (default: the relay's first)")
      ->check(CLI::IsMember({"gcm", "xchacha"}));
  app->add_option("--gateway-version", options->version, "4 to 8, or 0 to name none")
      ->check(CLI::IsMember({0, 4, 5, 6, 7, 8}))
      ->capture_default_str();
  app->add_option("--media-endpoint", options->media,
                  "Send media there instead of where the relay says, ADDRESS:PORT");
  app->add_flag("--json", options->json, "Print the summary as JSON");
  return {app, [options] { return Conversation(*options).run(); }};
}

}  // namespace earshot::tools
