#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crypto/keys.h"
#include "tools/client/voice_client.h"
#include "tools/earshot/command.h"
#include "tools/earshot/demo_script.h"
#include "tools/earshot/demo_table.h"
#include "tools/earshot/demo_verdict.h"
#include "tools/earshot/development_token.h"
#include "tools/earshot/interrupt.h"
#include "tools/earshot/live_text.h"

namespace earshot::tools {
namespace {

constexpr Duration refresh_interval = seconds(1);
// Behind the last word: the network and the jitter buffers run empty.
constexpr Duration drain_time = milliseconds(500);
// A conversation of half a minute does not wait longer for a relay that went away.
constexpr Duration reconnect_time_max = seconds(5);

struct Options {
  std::string endpoint, ca, record, phrases;
  std::string state = ".state";
  std::string cluster = "earshot";
  std::string server = "demo";
  std::string channel = "lobby";
  bool lists_phrases = false;
};

int fail(const std::string& text) {
  std::fprintf(stderr, "earshot demo: %s\n", text.c_str());
  return exit_failed;
}

// What tools/run renders: file, voice, pitch and text of each line.
int list_phrases() {
  for (const DemoLine& line : demo_lines()) {
    const DemoVoice& voice = demo_voices[line.speaker];
    std::printf("%s\t%s\t%d\t%s\n", file_name(line).c_str(), voice.voice, voice.pitch, line.text);
  }
  return std::fflush(stdout) == 0 ? exit_ok : exit_failed;
}

double level_of(const std::vector<DemoCue>& cues, std::size_t speaker) {
  client::ToneMeter meter(false);
  constexpr std::size_t frame = codec::frame_samples_20ms;
  for (const DemoCue& cue : cues) {
    if (cue.speaker != speaker) continue;
    for (std::size_t i = 0; i + frame <= cue.samples.size(); i += frame) {
      meter.add(std::span(cue.samples).subspan(i, frame));
    }
  }
  return meter.level();
}

struct Participant {
  std::string name;
  std::string saying;
  double level = client::level_silent;  // of what it says
  std::unique_ptr<client::Recorder> recorder;
  std::unique_ptr<client::VoiceClient> client;
  bool is_gone = false;
};

// Four participants in one process, from the arguments to the verdict. Everything between them goes
// through the relay: the process only watches the clock that they share.
class Demo {
 public:
  explicit Demo(const Options& options)
      : options_(options),
        output_(STDOUT_FILENO),
        cue_timer_(loop_.get(), [this] { say_next(); }),
        refresh_timer_(loop_.get(), [this] { refresh(); }) {}

  int run() {
    if (!crypto::initialize()) return fail("libsodium does not work here");
    const auto tls = gateway::TlsContext::make_client(options_.ca);
    if (!tls) return fail(tls.error().text);
    const auto prepared = prepare(tls.value());
    if (!prepared) return fail(prepared.error().text);
    const Interrupt interrupt(loop_.get(), [this] {
      was_interrupted_ = true;
      leave();
    });
    for (auto& participant : participants_) participant.client->start();
    loop_.run();
    const int status = finish();
    for (auto& participant : participants_) participant.client.reset();
    return status;
  }

 private:
  Result<void> prepare(const gateway::TlsContext& tls) {
    const auto key = DevelopmentKey::load(options_.state, options_.cluster);
    if (!key) return key.error();
    auto target = client::SocketTarget::parse(options_.endpoint);
    if (!target) return Error{"--endpoint: " + target.error().text};
    const std::string default_phrases = options_.state + "/demo/phrases";
    auto cues = load_cues(options_.phrases.empty() ? default_phrases : options_.phrases);
    if (!cues) return cues.error();
    cues_ = std::move(cues.value());
    for (const DemoCue& cue : cues_) total_ = std::max(total_, cue.end);
    participants_.resize(demo_voices.size());
    for (std::size_t i = 0; i < participants_.size(); ++i) {
      const auto added = add(i, tls, target.value(), key.value());
      if (!added) return added.error();
    }
    return {};
  }

  Result<void> add(std::size_t index, const gateway::TlsContext& tls,
                   const client::SocketTarget& target, const DevelopmentKey& key) {
    Participant& participant = participants_[index];
    participant.name = demo_voices[index].name;
    participant.level = level_of(cues_, index);
    client::VoiceClientOptions options;
    options.signalling.target = target;
    options.signalling.token = make_token(participant.name, key);
    options.signalling.reconnect_time_max = reconnect_time_max;
    options.latency_book = &latency_book_;
    options.hearing.latency_book = &latency_book_;
    if (!options_.record.empty()) {
      participant.recorder = std::make_unique<client::Recorder>(
          options_.record + "/" + participant.name, client::RecordFormat::wav);
      const auto opened = participant.recorder->open();
      if (!opened) return opened.error();
      options.hearing.recorder = participant.recorder.get();
    }
    auto created =
        client::VoiceClient::create(loop_.get(), tls, std::move(options), make_events(participant));
    if (!created) return created.error();
    participant.client = std::move(created.value());
    return {};
  }

  std::string make_token(const std::string& name, const DevelopmentKey& key) const {
    gateway::Claims claims;
    claims.user_id = name;
    claims.server_id = options_.server;
    claims.channel_id = options_.channel;
    claims.session_id =
        name + "-" + std::to_string(std::time(nullptr)) + "-" + std::to_string(getpid());
    return key.sign(std::move(claims), seconds(600));
  }

  client::VoiceClientEvents make_events(Participant& participant) {
    client::VoiceClientEvents events;
    events.on_joined = [this] { on_joined(); };
    events.on_said = [&participant] { participant.saying.clear(); };
    events.on_ended = [this, &participant](const client::SignallingEnd& end) {
      on_ended(participant, end);
    };
    return events;
  }

  void on_joined() {
    const bool are_all_here =
        std::all_of(participants_.begin(), participants_.end(),
                    [](const Participant& participant) { return participant.client->is_joined(); });
    if (began_ || is_leaving_ || !are_all_here) return;
    began_ = client::monotonic_now();
    say_next();
    refresh();
  }

  void say_next() {
    const Duration elapsed = client::monotonic_now() - *began_;
    while (next_cue_ < cues_.size() && cues_[next_cue_].begin <= elapsed) {
      DemoCue& cue = cues_[next_cue_++];
      Participant& speaker = participants_[cue.speaker];
      speaker.saying = cue.text;
      speaker.client->play(std::make_unique<client::PcmSource>(std::move(cue.samples)));
    }
    if (next_cue_ < cues_.size()) return cue_timer_.start(cues_[next_cue_].begin - elapsed);
    const Duration left = total_ + drain_time - elapsed;
    if (left <= Duration{}) return leave();
    cue_timer_.start(left);
  }

  void refresh() {
    if (is_leaving_) return;
    if (!output_.show(make_table(make_state(), make_style()))) {
      failure_ = "nobody reads the table any more";
      return leave();
    }
    refresh_timer_.start(refresh_interval);
  }

  void leave() {
    is_leaving_ = true;
    cue_timer_.stop();
    refresh_timer_.stop();
    for (auto& participant : participants_) participant.client->leave();
  }

  void on_ended(Participant& participant, const client::SignallingEnd& end) {
    participant.is_gone = true;
    participant.saying.clear();
    if (!end.is_ok && failure_.empty()) failure_ = participant.name + ": " + end.text;
    const bool are_all_gone = std::all_of(participants_.begin(), participants_.end(),
                                          [](const Participant& other) { return other.is_gone; });
    if (are_all_gone) return loop_.stop();
    if (!is_leaving_) leave();
  }

  DemoState make_state() const {
    DemoState state;
    state.title = "Four participants in channel " + options_.channel + " on " + options_.endpoint;
    state.total = total_;
    if (began_) state.elapsed = client::monotonic_now() - *began_;
    for (const Participant& participant : participants_) {
      state.speakers.push_back({participant.name, participant.saying});
    }
    for (const Participant& listener : participants_) add_pairs(state.pairs, listener);
    return state;
  }

  // The built-in speakers in their order, then whoever else joined the channel and spoke.
  void add_pairs(std::vector<DemoPair>& pairs, const Participant& listener) const {
    const auto reports = listener.client->report();
    for (const Participant& speaker : participants_) {
      if (&speaker == &listener) continue;
      DemoPair pair;
      pair.listener = listener.name;
      pair.speaker = speaker.name;
      pair.sent = speaker.client->frames_sent();
      pair.level_sent = speaker.level;
      for (const auto& report : reports) {
        if (report.user_id == speaker.name) fill(pair, report, !speaker.saying.empty());
      }
      pairs.push_back(std::move(pair));
    }
    for (const auto& report : reports) {
      const bool is_ours =
          std::any_of(participants_.begin(), participants_.end(),
                      [&report](const Participant& ours) { return ours.name == report.user_id; });
      if (is_ours) continue;
      DemoPair pair;
      pair.listener = listener.name;
      pair.speaker = report.user_id.empty() ? "?" : report.user_id;
      pair.is_ours = false;
      fill(pair, report, false);
      pairs.push_back(std::move(pair));
    }
  }

  // One participant has more than one stream if it had to identify anew.
  static void fill(DemoPair& pair, const client::SpeakerReport& report, bool is_speaking) {
    pair.heard += report.heard;
    pair.lost += report.lost;
    pair.audible += report.audible;
    pair.latency_count += report.latency_count;
    pair.latency_p50 = std::max(pair.latency_p50, report.latency_p50);
    pair.latency_p99 = std::max(pair.latency_p99, report.latency_p99);
    pair.level = std::max(pair.level, report.level);
    if (is_speaking) pair.level_recent = std::max(pair.level_recent, report.recent_level);
  }

  TableStyle make_style() const {
    return {output_.columns(), output_.has_colors(), output_.has_unicode()};
  }

  int finish() {
    const DemoState state = make_state();
    const bool is_shown = !began_ || output_.finish(make_table(state, make_style()));
    if (was_interrupted_) {
      std::fprintf(stderr, "earshot demo: interrupted\n");
      return exit_interrupted;
    }
    if (!failure_.empty() || !is_shown) {
      return fail(failure_.empty() ? "the table could not be written" : failure_);
    }
    const DemoVerdict verdict = judge(state.pairs);
    std::printf("\n%s\n", verdict.text.c_str());
    const bool is_recorded = tell_recordings();
    if (std::fflush(stdout) != 0) return fail("the verdict could not be written");
    return verdict.is_ok && is_recorded ? exit_ok : exit_failed;
  }

  bool tell_recordings() const {
    if (options_.record.empty()) return true;
    for (const Participant& participant : participants_) {
      const std::string& error = participant.recorder->error();
      if (error.empty()) continue;
      std::printf("%s\n", error.c_str());
      return false;
    }
    std::printf("what each of them heard:\n");
    for (const Participant& participant : participants_) {
      std::printf("  %s/mixed.wav\n", participant.recorder->folder().c_str());
    }
    return true;
  }

  const Options& options_;
  client::Loop loop_;
  LiveText output_;
  client::LatencyBook latency_book_;
  std::vector<DemoCue> cues_;
  std::size_t next_cue_ = 0;
  Duration total_;  // to the end of the last word
  std::vector<Participant> participants_;
  std::optional<Time> began_;
  bool is_leaving_ = false;
  bool was_interrupted_ = false;
  std::string failure_;
  client::Timer cue_timer_;
  client::Timer refresh_timer_;
};

int run(const Options& options) {
  if (options.lists_phrases) return list_phrases();
  if (options.endpoint.empty() || options.ca.empty()) {
    fail("--endpoint and --ca are required");
    return exit_usage;
  }
  return Demo(options).run();
}

}  // namespace

Command make_demo_command(CLI::App& parent) {
  auto options = std::make_shared<Options>();
  CLI::App* app = parent.add_subcommand(
      "demo", "Let four built-in participants talk through a node (tools/run starts one)");
  app->add_option("--endpoint", options->endpoint, "The node's voice gateway, HOST:PORT");
  app->add_option("--ca", options->ca, "PEM file with the authority to trust");
  app->add_option("--state", options->state, "State folder of tools/run, with the signing key")
      ->capture_default_str();
  app->add_option("--cluster", options->cluster, "The node's cluster.name")->capture_default_str();
  app->add_option("--server", options->server, "Server of the channel")->capture_default_str();
  app->add_option("--channel", options->channel, "Channel to talk in")->capture_default_str();
  app->add_option("--phrases", options->phrases,
                  "Folder with the spoken lines (default: demo/phrases in the state folder)");
  app->add_option("--record", options->record,
                  "Folder for what each participant hears: a folder each, with a file per speaker "
                  "and mixed.wav");
  app->add_flag("--list-phrases", options->lists_phrases,
                "Print file, espeak-ng voice, pitch and text of each line, and leave");
  return {app, [options] { return run(*options); }};
}

}  // namespace earshot::tools
