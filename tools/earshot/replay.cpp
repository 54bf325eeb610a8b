#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "codec/wav.h"
#include "tools/earshot/command.h"
#include "tools/earshot/replay_live.h"
#include "tools/earshot/replay_text.h"
#include "tools/replay/outputs.h"
#include "tools/replay/profile.h"

namespace earshot::tools {
namespace {

using namespace earshot::replay;

struct Options {
  std::string input;
  std::size_t synth = 0;  // participants; 0: there is an input
  std::int64_t synth_seconds = 60;
  bool synth_free = false, synth_frozen = false, synth_dtx = false;
  TraceOptions trace;
  std::vector<std::uint32_t> ssrcs;
  std::uint16_t port = 0;
  std::string to, overhead = "auto";

  std::string profile, uplink, downlink;
  std::uint64_t seed = 1;
  std::string policies;
  int late_ms_max = -1;
  std::string listeners = "adaptive,fixed:60ms,never-skips";
  listen::QualityOptions quality;
  bool only_packets = false;

  bool is_virtual = false, is_live = false;
  LiveOptions live;
  std::string json, verdicts, csv;
  std::vector<std::string> diff;
  DiffOptions diff_options;
};

int fail(const std::string& text) {
  std::fprintf(stderr, "earshot replay: %s\n", text.c_str());
  return exit_failed;
}

int refuse(const std::string& text) {
  std::fprintf(stderr, "earshot replay: %s\n", text.c_str());
  return exit_usage;
}

// Beside the sources, beside an installed program, or where we are.
std::vector<std::string> profile_folders() {
  std::vector<std::string> folders;
  if (const char* own = std::getenv("EARSHOT_PROFILES")) folders.emplace_back(own);
  folders.emplace_back("config/profiles");
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  if (!error) {
    folders.push_back((program / "../../config/profiles").lexically_normal());
    folders.push_back((program / "../share/earshot/profiles").lexically_normal());
  }
  return folders;
}

struct Network {
  PathModel uplink, downlink;
};

Result<Network> network_of(const Options& options) {
  Network network;
  if (!options.profile.empty()) {
    const bool is_file = options.profile.ends_with(".toml");
    auto profile =
        is_file ? read_profile(options.profile) : find_profile(options.profile, profile_folders());
    if (!profile) return Error{"--profile: " + profile.error().text};
    network = {profile.value().uplink, profile.value().downlink};
  }
  if (!options.uplink.empty()) {
    auto model = parse_path_model(options.uplink, network.uplink);
    if (!model) return Error{"--uplink: " + model.error().text};
    network.uplink = model.value();
  }
  if (!options.downlink.empty()) {
    auto model = parse_path_model(options.downlink, network.downlink);
    if (!model) return Error{"--downlink: " + model.error().text};
    network.downlink = model.value();
  }
  return network;
}

Result<void> prepare(Options& o) {
  if (o.port != 0) o.trace.port = o.port;
  for (const std::uint32_t ssrc : o.ssrcs) o.trace.ssrcs.push_back({ssrc});
  if (!o.to.empty()) {
    o.trace.to = Destination::parse(o.to);
    if (!o.trace.to) return Error{"--to: PORT, ADDRESS:PORT or [ADDRESS]:PORT"};
  }
  if (o.overhead != "auto") {
    std::size_t bytes = 0;
    if (!CLI::detail::lexical_cast(o.overhead, bytes) || bytes > 200) {
      return Error{"--overhead: auto, or bytes from 0 to 200"};
    }
    o.trace.overhead = bytes;
  }
  return {};
}

Result<Trace> trace_of(const Options& o) {
  if (o.synth == 0) return read_trace(o.input, o.trace);
  SynthOptions synth;
  synth.seed = o.seed;
  synth.participants = o.synth;
  synth.duration = seconds(o.synth_seconds);
  synth.mode = o.synth_free ? TalkMode::free : TalkMode::one_at_a_time;
  synth.rtp_time_runs = !o.synth_frozen;
  synth.has_dtx = o.synth_dtx;
  return synthesize(synth);
}

Result<std::vector<Policy>> policies_of(const Options& o) {
  if (!o.policies.empty()) return parse_policies(o.policies);
  if (o.late_ms_max < 0) return std::vector{Policy{}};
  auto policy = parse_policy("late=" + std::to_string(o.late_ms_max));
  if (!policy) return Error{"--late-ms-max: 0 (off), or 20 to 2000"};
  return std::vector{policy.value()};
}

// On a terminal, from the third second on.
class Progress {
 public:
  void show(const std::string& what, double share) {
    if (!is_terminal_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - began_ < std::chrono::seconds(3)) return;
    constexpr int width = 40;
    const int done = static_cast<int>(share * width);
    std::fprintf(stderr, "\r%-16.16s [%.*s%.*s] %3.0f %%", what.c_str(), done,
                 "########################################", width - done,
                 "                                        ", 100 * share);
    is_shown_ = true;
  }
  ~Progress() {
    if (is_shown_) std::fprintf(stderr, "\r%*s\r", 70, "");
  }
  Progress() = default;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool is_shown_ = false;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// Plain forwarding comes first if anything is dropped: it is the shadow of the others.
Result<std::vector<RunResult>> run_all(const Trace& trace, const std::vector<Policy>& policies,
                                       RunOptions options) {
  Progress progress;
  const Policy off{Policy::Kind::late, 0};
  std::optional<RunResult> plain;
  const auto run_one = [&](const Policy& policy) {
    options.policy = policy;
    options.on_progress = [&](double share) { progress.show(name(policy), share); };
    return run(trace, options);
  };
  std::vector<RunResult> results;
  for (const Policy& policy : policies) {
    if (!plain && policy != off) {
      auto shadow = run_one(off);
      if (!shadow) return shadow.error();
      plain = std::move(shadow.value());
    }
    if (policy == off && plain) {
      results.push_back(*plain);
      continue;
    }
    options.shadow = policy == off ? nullptr : &*plain;
    auto result = run_one(policy);
    if (!result) return result.error();
    results.push_back(std::move(result.value()));
    options.shadow = nullptr;
    if (policy == off) plain = results.back();
  }
  return results;
}

using File = std::unique_ptr<std::FILE, codec::FileCloser>;

// `write` gets the open file, or standard output for "-".
template <typename Write>
Result<void> write_file(const std::string& path, const Write& write) {
  if (path.empty()) return {};
  if (path == "-") return write(stdout);
  File file(std::fopen(path.c_str(), "wb"));
  if (!file) return Error{"cannot write " + path + ": " + std::strerror(errno)};
  Result<void> written = write(file.get());
  if (!written.ok()) return written;
  if (std::fflush(file.get()) != 0) {
    return Error{"cannot write " + path + ": " + std::strerror(errno)};
  }
  return {};
}

Json live_json(const LiveResult& live) {
  Json streams = Json::array();
  for (const LiveStream& s : live.streams) {
    streams.push_back({{"ssrc", s.ssrc.value}, {"relay_ssrc", s.relay_ssrc.value}});
  }
  return {{"streams", streams},
          {"has_recording", live.has_recording},
          {"verdicts_reproduced", live.reproduced},
          {"verdicts_different", live.different}};
}

// `live`: nullptr for a replay in virtual time.
Result<void> write_outputs(const Options& o, const Trace& trace,
                           const std::vector<RunResult>& results, const LiveResult* live) {
  auto json = write_file(o.json, [&](std::FILE* file) -> Result<void> {
    Json value = to_json(trace, results, {o.seed, o.profile, o.uplink, o.downlink});
    if (live != nullptr) value["live"] = live_json(*live);
    const std::string text = value.dump(2) + "\n";
    std::fwrite(text.data(), 1, text.size(), file);
    return std::ferror(file) == 0 ? Result<void>{} : Error{"cannot write the JSON"};
  });
  if (!json.ok()) return json;
  return write_file(o.verdicts, [&](std::FILE* file) {
    return write_verdicts(trace, live != nullptr ? live->verdicts : results.front().verdicts, file);
  });
}

int run_diff(const Options& o) {
  Json jsons[2];
  for (std::size_t i = 0; i < 2; ++i) {
    std::ifstream file(o.diff[i]);
    if (!file) return refuse("cannot read " + o.diff[i] + ": " + std::strerror(errno));
    jsons[i] = Json::parse(file, nullptr, false);
    if (jsons[i].is_discarded()) return refuse(o.diff[i] + " is not JSON");
  }
  const auto result = replay::diff(jsons[0], jsons[1], o.diff_options);
  if (!result.ok()) return refuse(result.error().text);
  for (const std::string& line : result.value().lines) std::printf("%s\n", line.c_str());
  return result.value().is_worse ? exit_failed : exit_ok;
}

// Everything but the input.
struct Setup {
  std::vector<Policy> policies;
  RunOptions run;
};

Result<Setup> set_up(const Options& o) {
  auto policies = policies_of(o);
  if (!policies) return policies.error();
  auto listeners = parse_listeners(o.listeners);
  if (!listeners) return Error{"--listeners: " + listeners.error().text};
  auto network = network_of(o);
  if (!network) return network.error();
  Setup setup;
  setup.policies = std::move(policies.value());
  setup.run.listeners = std::move(listeners.value());
  setup.run.uplink = network.value().uplink;
  setup.run.downlink = network.value().downlink;
  setup.run.seed = o.seed;
  setup.run.quality = o.quality;
  setup.run.quality.counts_waiting = !o.only_packets;
  setup.run.keeps_verdicts = !o.verdicts.empty();
  if (setup.policies.size() > 1 && !o.verdicts.empty()) {
    return Error{"--verdicts is about one policy, and --compare names several"};
  }
  return setup;
}

Result<void> check_live(const Options& o, const Setup& setup) {
  if (o.is_virtual) return Error{"--virtual or --live, not both"};
  if (o.live.endpoint.empty()) return Error{"--live needs --endpoint HOST:PORT"};
  if (o.live.token_file.empty() == o.live.state.empty()) {
    return Error{"--live needs --state DIR or --token-file FILE"};
  }
  if (o.live.ca.empty() && o.live.state.empty()) return Error{"--live needs --ca FILE"};
  const Policy& policy = setup.policies.front();
  if (setup.policies.size() > 1 || policy.kind != Policy::Kind::late) {
    return Error{"--live has the relay's own policy: --late-ms-max, not --compare"};
  }
  if (!o.verdicts.empty() && o.live.api.empty()) {
    return Error{"--verdicts of a --live replay come from the relay's recorder: give --api URL"};
  }
  return {};
}

void show(const Options& o, const std::string& text) {
  const bool is_taken = o.json == "-" || o.verdicts == "-" || o.csv == "-";
  std::fputs(text.c_str(), is_taken ? stderr : stdout);
}

int replay_live(Options& o, const Trace& trace, Setup setup) {
  if (o.live.ca.empty()) o.live.ca = o.live.state + "/ca.pem";
  setup.run.policy = setup.policies.front();
  LiveResult live;
  std::optional<LiveFailure> failure;
  {
    Progress progress;
    setup.run.on_progress = [&](double share) { progress.show("live", share); };
    failure = run_live(trace, setup.run, o.live, live);
  }
  if (failure) {
    fail(failure->text);
    return failure->exit_code;
  }
  const std::vector<RunResult> results{std::move(live.result)};
  if (auto written = write_outputs(o, trace, results, &live); !written) {
    return fail(written.error().text);
  }
  show(o, replay_text(live.trace, results));
  if (!live.has_recording) return exit_ok;
  show(o, "verdicts of the relay that the policy came to again: " +
              std::to_string(live.reproduced) + ", not: " + std::to_string(live.different) + "\n");
  return live.different == 0 ? exit_ok : exit_failed;
}

int run_replay(Options& o) {
  if (!o.diff.empty()) return run_diff(o);
  if (o.input.empty() == (o.synth == 0)) return refuse("give a file, or --synth");
  if (auto prepared = prepare(o); !prepared) return refuse(prepared.error().text);
  auto setup = set_up(o);
  if (!setup) return refuse(setup.error().text);
  if (o.is_live) {
    if (auto checked = check_live(o, setup.value()); !checked) return refuse(checked.error().text);
  }
  const auto trace = trace_of(o);
  if (!trace.ok()) return fail(trace.error().text);
  if (auto written =
          write_file(o.csv, [&](std::FILE* file) { return write_trace_csv(trace.value(), file); });
      !written) {
    return fail(written.error().text);
  }
  if (o.is_live) return replay_live(o, trace.value(), std::move(setup.value()));
  const auto results = run_all(trace.value(), setup.value().policies, setup.value().run);
  if (!results.ok()) return fail(results.error().text);
  if (auto written = write_outputs(o, trace.value(), results.value(), nullptr); !written) {
    return fail(written.error().text);
  }
  show(o, replay_text(trace.value(), results.value()));
  return exit_ok;
}

void add_input(CLI::App& app, Options& o) {
  app.add_option("INPUT", o.input,
                 "pcap, pcapng, rtpdump, Ogg Opus or CSV (arrival_ns,ssrc,seq,timestamp,size)");
  app.add_option("--synth", o.synth, "Instead: speech-like talk of N participants")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000}));
  app.add_option("--synth-seconds", o.synth_seconds, "How long they talk")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{86'400}))
      ->capture_default_str();
  app.add_flag("--synth-free", o.synth_free, "Everybody talks as they like, not in turns");
  app.add_flag("--synth-frozen", o.synth_frozen, "RTP time stands still in pauses");
  app.add_flag("--synth-dtx", o.synth_dtx, "Small packets in pauses");
  app.add_option("--port", o.port, "Captures: UDP packets from or to this port are RTP");
  app.add_option("--ssrc", o.ssrcs, "Captures: only these streams");
  app.add_option("--to", o.to, "Captures: only what goes there (PORT or ADDRESS:PORT)");
  app.add_option("--overhead", o.overhead, "Captures: bytes of encryption in each packet, or auto")
      ->capture_default_str();
  app.add_option("--csv", o.csv, "Write the packets as CSV, which is an input too");
}

void add_network(CLI::App& app, Options& o) {
  app.add_option("--profile", o.profile, "A network by name or .toml file: config/profiles");
  app.add_option("--uplink", o.uplink,
                 "The way of each speaker, over the profile's: delay=40ms,jitter=normal:10ms,...");
  app.add_option("--downlink", o.downlink, "The way to each listener, the same");
  app.add_option("--seed", o.seed, "Of the network's chances")->capture_default_str();
  app.footer("Keys of --uplink and --downlink:\n" + describe_path_keys());
}

void add_judgement(CLI::App& app, Options& o) {
  auto* const bound =
      app.add_option("--late-ms-max", o.late_ms_max, "The relay's bound: 0 (off) or 20 to 2000");
  app.add_option("--compare", o.policies, "Several policies: late=200,off,deadline=80")
      ->excludes(bound);
  app.add_option("--listeners", o.listeners, "adaptive, fixed:Nms, never-skips; *N for several")
      ->capture_default_str();
  app.add_option("--ie", o.quality.emodel.ie, "E-model: impairment without loss")
      ->check(CLI::Range(0.0, 95.0))
      ->capture_default_str();
  app.add_option("--bpl", o.quality.emodel.bpl, "E-model: robustness against loss")
      ->check(CLI::Range(1.0, 100.0))
      ->capture_default_str();
  app.add_flag("--only-packets", o.only_packets,
               "MOS by lost packets alone: silence while a listener waits does not count");
  app.add_option("--advantage", o.quality.emodel.advantage, "E-model: advantage factor")
      ->check(CLI::Range(0.0, 20.0))
      ->capture_default_str();
}

void add_outputs(CLI::App& app, Options& o) {
  app.add_flag("--virtual", o.is_virtual, "In virtual time, without a relay: the default");
  app.add_option("--json", o.json, "Write everything as JSON ('-': standard output)");
  app.add_option("--verdicts", o.verdicts, "Write the verdict on each packet as CSV");
  app.add_option("--diff", o.diff, "Compare two JSON files; exit code 1 when the second is worse")
      ->expected(2)
      ->type_name("A.json B.json");
  app.add_option("--max-mos-loss", o.diff_options.mos_loss_max, "--diff: this much is not worse")
      ->check(CLI::Range(0.0, 4.0))
      ->capture_default_str();
}

void add_live(CLI::App& app, Options& o) {
  app.add_flag("--live", o.is_live, "Through a real relay, with real participants, in real time");
  app.add_option("--endpoint", o.live.endpoint, "--live: the node's voice gateway, HOST:PORT");
  app.add_option("--ca", o.live.ca, "--live: its authority (default: STATE/ca.pem)");
  app.add_option("--state", o.live.state, "--live: a node's state folder, to sign tokens with");
  app.add_option("--token-file", o.live.token_file,
                 "--live: join tokens, one a line, streams first, then listeners");
  app.add_option("--cluster", o.live.cluster, "--live: the node's cluster.name")
      ->capture_default_str();
  app.add_option("--api", o.live.api,
                 "--live: the node's API; its recorder tells the verdict on each packet");
  app.add_option("--api-key-file", o.live.api_key_file, "--live: (default: STATE/api-key)");
  app.add_option("--recording", o.live.recording, "--live: keep the recorder's dump here");
}

}  // namespace

Command make_replay_command(CLI::App& parent) {
  auto options = std::make_shared<Options>();
  CLI::App* const app =
      parent.add_subcommand("replay", "What people hear of this traffic, on this network");
  add_input(*app, *options);
  add_network(*app, *options);
  add_judgement(*app, *options);
  add_outputs(*app, *options);
  add_live(*app, *options);
  return {app, [options] { return run_replay(*options); }};
}

}  // namespace earshot::tools
