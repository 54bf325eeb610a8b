#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "crypto/keys.h"
#include "tools/client/secure_socket.h"
#include "tools/earshot/command.h"
#include "tools/earshot/development_token.h"
#include "tools/load/scenarios.h"

namespace earshot::tools {
namespace {

constexpr Duration token_lifetime = seconds(3'500);

struct Options {
  std::string endpoint, ca;
  std::string state = ".state";
  std::string cluster = "earshot";
  std::string json;
  std::string attack;
  load::LoadOptions load;
};

int fail(const std::string& text) {
  std::fprintf(stderr, "earshot load: %s\n", text.c_str());
  return exit_failed;
}

// A session takes one descriptor.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<void> prepare(Options& options) {
  auto target = client::SocketTarget::parse(options.endpoint);
  if (!target) return Error{"--endpoint: " + target.error().text};
  const std::string host = target.value().host == "localhost" ? "127.0.0.1" : target.value().host;
  const auto ip = IpAddress::parse(host);
  if (!ip) return Error{"--endpoint: an address, not a name"};
  options.load.target = {
      {*ip, target.value().port}, target.value().host, target.value().to_string()};
  auto tls = gateway::TlsContext::make_client(options.ca);
  if (!tls) return tls.error();
  options.load.tls = std::move(tls.value());
  auto key = DevelopmentKey::load(options.state, options.cluster);
  if (!key) return key.error();
  options.load.sign = [key = std::move(key.value())](const gateway::Claims& claims) {
    return key.sign(claims, token_lifetime);
  };
  return {};
}

int run(Options& options, load::Report (*scenario)(const load::LoadOptions&)) {
  if (!crypto::initialize()) return fail("libsodium does not work here");
  if (!options.attack.empty()) options.load.flood.kind = *load::parse_flood_kind(options.attack);
  if (auto prepared = prepare(options); !prepared) return fail(prepared.error().text);
  raise_descriptor_limit();
  const load::Report report = scenario(options.load);
  report.print(stdout);
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    file << report.json().dump(2) << "\n";
    if (!file.flush()) return fail("cannot write " + options.json);
  }
  if (load::Leader::is_interrupted()) return exit_interrupted;
  return report.is_ok() ? exit_ok : exit_failed;
}

void add_common(CLI::App& app, Options& options) {
  load::LoadOptions& load = options.load;
  app.add_option("--endpoint", options.endpoint, "The node's voice gateway, ADDRESS:PORT")
      ->required();
  app.add_option("--ca", options.ca, "PEM file with the authority to trust");
  app.add_option("--state", options.state, "State folder of tools/run, with the signing key")
      ->capture_default_str();
  app.add_option("--cluster", options.cluster, "The node's cluster.name")->capture_default_str();
  app.add_option("--json", options.json, "Write all figures to this file");
  app.add_option("--relay-pid", load.relay,
                 "The relay's process on this machine: tells its CPU time and memory");
  app.add_option("--participants", load.participants, "Of each channel")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
}

void add_crowd(CLI::App& app, load::LoadOptions& load) {
  app.add_option("--sessions", load.sessions, "How many")
      ->check(CLI::Range(1, 200'000))
      ->capture_default_str();
  app.add_option("--processes", load.processes,
                 "Of this generator; each holds as many sessions as it may open files")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  app.add_option("--heartbeat-ms", load.heartbeat_ms, "Instead of the interval the relay asks for")
      ->check(CLI::Range(20.0, 1e6));
}

void add_live(CLI::App& app, load::LoadOptions& load) {
  app.add_option("--live", load.live, "Sessions in a process of their own that are measured")
      ->capture_default_str();
  app.add_option("--live-speakers", load.live_speakers, "Of each of their channels")
      ->capture_default_str();
  app.add_option("--live-heartbeat-ms", load.live_heartbeat_ms, "Interval of their heartbeats")
      ->check(CLI::Range(20.0, 1e6))
      ->capture_default_str();
}

void add_talk(CLI::App& app, load::LoadOptions& load) {
  app.add_option("--channels", load.channels, "How many")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--speakers", load.speakers, "Who talk without a pause, of each channel")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  app.add_option("--frame-size", load.frame_size, "Bytes of a 20 ms frame")
      ->check(CLI::Range(3, 1'275))
      ->capture_default_str();
  app.add_option("--max-loss-percent", load.max.loss_percent, "Of the packets to be received");
}

void add_seconds(CLI::App& app, load::LoadOptions& load, const char* what) {
  app.add_option("--seconds", load.seconds, what)
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
}

}  // namespace

Command make_load_command(CLI::App& parent) {
  auto options = std::make_shared<Options>();
  load::LoadOptions& load = options->load;
  CLI::App* app = parent.add_subcommand(
      "load",
      "Load a node with sessions and media, and measure it. Exit status 1 if a --max- bound is "
      "broken");
  app->require_subcommand(1);
  CLI::App* join = app->add_subcommand("join", "Sessions that join, and stay for a while");
  CLI::App* idle = app->add_subcommand("idle", "Sessions that do nothing but heartbeats");
  CLI::App* talk = app->add_subcommand("talk", "Channels with speakers: rate, latency, loss");
  CLI::App* storm = app->add_subcommand(
      "storm", "All join at once, are cut at once, and come back at once, beside live sessions");
  CLI::App* attack = app->add_subcommand(
      "attack", "Quiet and attacked times by turns, beside channels with speakers; on loopback");

  for (CLI::App* one : {join, idle, talk, storm, attack}) add_common(*one, *options);
  for (CLI::App* one : {join, idle, storm}) add_crowd(*one, load);
  for (CLI::App* one : {join, storm}) add_live(*one, load);
  for (CLI::App* one : {talk, attack}) add_talk(*one, load);
  for (CLI::App* one : {join, idle, talk}) {
    one->add_option("--at-once", load.at_once, "Sessions on their way in at a time")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
  }
  add_seconds(*join, load, "To stay when all are in");
  add_seconds(*idle, load, "To stay when all are in");
  add_seconds(*talk, load, "To talk when all are in");
  add_seconds(*attack, load, "Of each quiet and each attacked time");
  talk->add_option("--processes", load.processes, "Of this generator; whole channels each")
      ->check(CLI::Range(1, 16));
  talk->add_option("--max-latency-p99-ms", load.max.latency_p99_ms, "Through the relay");
  for (CLI::App* one : {join, storm})
    one->add_option("--max-join-seconds", load.max.join_seconds, "Until all are in");
  for (CLI::App* one : {join, idle, storm})
    one->add_option("--max-heartbeat-p99-ms", load.max.heartbeat_p99_ms,
                    "Round trip; of the live sessions while all join, if there are any");
  idle->add_option("--max-growth-percent", load.max.growth_percent, "Of the relay's memory");
  storm->add_flag("--refill", load.refills,
                  "In the end all vanish, and as many others join when the resume window is over");
  storm->add_option("--max-cut-p99-ms", load.max.cut_p99_ms, "Of the live while all are cut");
  storm->add_option("--max-stall-ms", load.max.stall_ms, "Longest live heartbeat");
  storm->add_option("--max-back-seconds", load.max.back_seconds, "Until all are back");

  attack
      ->add_option("kind", options->attack,
                   "half-open, garbage, forged, spoofed, scattered or discovery")
      ->required()
      ->check(
          CLI::IsMember({"half-open", "garbage", "forged", "spoofed", "scattered", "discovery"}));
  attack->add_option("--rate", load.flood.rate, "Datagrams, or new connections, a second")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  attack->add_option("--connections", load.flood.connections, "half-open: at a time")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  attack->add_option("--cycles", load.cycles, "Quiet and attacked times; the median counts")
      ->check(CLI::Range(1, 15))
      ->capture_default_str();
  attack->add_option("--newcomers", load.newcomers, "Who join in each of those times");
  attack->add_option("--newcomer-source", load.newcomer_source,
                     "Address that their media comes from");
  attack->add_option("--move-seconds", load.move_seconds,
                     "A speaker changes its source port this often");
  attack->add_option("--max-latency-ratio", load.max.latency_ratio, "p99, attacked to quiet");
  attack->add_option("--max-cost-ratio", load.max.cost_ratio,
                     "CPU time of an attacker's datagram to a forwarded packet's");
  attack->add_option("--max-newcomer-ms", load.max.newcomer_ms, "Longest join under attack");

  return {app, [=] {
            load::Report (*scenario)(const load::LoadOptions&) = load::run_join;
            if (idle->parsed()) scenario = load::run_idle;
            if (talk->parsed()) scenario = load::run_talk;
            if (storm->parsed()) scenario = load::run_storm;
            if (attack->parsed()) scenario = load::run_attack;
            return run(*options, scenario);
          }};
}

}  // namespace earshot::tools
