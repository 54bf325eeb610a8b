#include "tools/earshot/replay_options.h"

#include <cstdlib>
#include <filesystem>

#include "tools/replay/profile.h"

namespace earshot::tools {
namespace {

using namespace earshot::replay;

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

Result<Network> network_of(const ReplayOptions& options) {
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

Result<void> prepare(ReplayOptions& o) {
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

Result<std::vector<Policy>> policies_of(const ReplayOptions& o) {
  if (!o.policies.empty()) return parse_policies(o.policies);
  if (o.late_ms_max < 0) return std::vector{Policy{}};
  auto policy = parse_policy("late=" + std::to_string(o.late_ms_max));
  if (!policy) return Error{"--late-ms-max: 0 (off), or 20 to 2000"};
  return std::vector{policy.value()};
}
Result<void> check_live(const ReplayOptions& o, const ReplaySetup& setup) {
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

void add_input(CLI::App& app, ReplayOptions& o) {
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

void add_network(CLI::App& app, ReplayOptions& o) {
  app.add_option("--profile", o.profile, "A network by name or .toml file: config/profiles");
  app.add_option("--uplink", o.uplink,
                 "The way of each speaker, over the profile's: delay=40ms,jitter=normal:10ms,...");
  app.add_option("--downlink", o.downlink, "The way to each listener, the same");
  app.add_option("--seed", o.seed, "Of the network's chances")->capture_default_str();
  app.footer("Keys of --uplink and --downlink:\n" + describe_path_keys());
}

void add_judgement(CLI::App& app, ReplayOptions& o) {
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

void add_outputs(CLI::App& app, ReplayOptions& o) {
  app.add_flag("--virtual", o.is_virtual, "In virtual time, without a relay: the default");
  app.add_option("--json", o.json, "Write everything as JSON ('-': standard output)");
  app.add_option("--verdicts", o.verdicts, "Write the verdict on each packet as CSV");
  app.add_option("--report", o.report, "Write a report with pictures, one HTML file");
  app.add_option("--render", o.render, "Write into this folder what each listener hears, as WAV");
  app.add_option("--voice", o.voice,
                 "--render: WAV or Ogg Opus to say where the input has no audio that can be read");
  app.add_option("--diff", o.diff, "Compare two JSON files; exit code 1 when the second is worse")
      ->expected(2)
      ->type_name("A.json B.json");
  app.add_option("--max-mos-loss", o.diff_options.mos_loss_max, "--diff: this much is not worse")
      ->check(CLI::Range(0.0, 4.0))
      ->capture_default_str();
}

void add_live(CLI::App& app, ReplayOptions& o) {
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

bool names_policy(const ReplayOptions& o) {
  return !o.policies.empty() || o.late_ms_max >= 0;
}

Result<Trace> trace_of(const ReplayOptions& o) {
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

Result<ReplaySetup> set_up(ReplayOptions& o) {
  if (auto prepared = prepare(o); !prepared) return prepared.error();
  auto policies = policies_of(o);
  if (!policies) return policies.error();
  auto listeners = parse_listeners(o.listeners);
  if (!listeners) return Error{"--listeners: " + listeners.error().text};
  auto network = network_of(o);
  if (!network) return network.error();
  ReplaySetup setup;
  setup.policies = std::move(policies.value());
  setup.run.listeners = std::move(listeners.value());
  setup.run.uplink = network.value().uplink;
  setup.run.downlink = network.value().downlink;
  setup.run.seed = o.seed;
  setup.run.quality = o.quality;
  setup.run.quality.counts_waiting = !o.only_packets;
  setup.run.keeps_verdicts = !o.verdicts.empty() || !o.report.empty();
  if (setup.policies.size() > 1 && !o.verdicts.empty()) {
    return Error{"--verdicts is about one policy, and --compare names several"};
  }
  if (o.is_live) {
    if (auto checked = check_live(o, setup); !checked) return checked.error();
  }
  return setup;
}

void add_replay_options(CLI::App& app, ReplayOptions& options) {
  add_input(app, options);
  add_network(app, options);
  add_judgement(app, options);
  add_outputs(app, options);
  add_live(app, options);
}

}  // namespace earshot::tools
