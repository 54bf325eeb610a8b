// Two numbers about a real, running relay node: the memory of a signalling session (TLS included),
// and the time from the TCP connect of a join to the first forwarded frame. tools/bench starts the
// node and names its process.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "crypto/keys.h"
#include "tools/client/voice_client.h"
#include "tools/earshot/development_token.h"

namespace earshot {
namespace {

constexpr int handshakes_at_once = 10;

struct Options {
  std::string endpoint, ca, state;
  int relay_pid = 0;
  int sessions = 1'000;
  int joins = 200;
};

// Resident set of a process, bytes (proc(5)).
std::int64_t resident_bytes(int pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6)) * 1'024;
  }
  return 0;
}

class Bench {
 public:
  Bench(const Options& options, gateway::TlsContext tls, tools::DevelopmentKey key)
      : options_(options), tls_(std::move(tls)), key_(std::move(key)) {}

  bool measure_memory();
  bool measure_joins();

 private:
  std::string token(const std::string& user, const std::string& channel) const {
    gateway::Claims claims;
    claims.user_id = user;
    claims.server_id = "bench";
    claims.channel_id = channel;
    claims.session_id = "session-" + user;
    return key_.sign(claims, seconds(3'000));
  }
  client::SignallingOptions signalling(const std::string& user, const std::string& channel) const {
    client::SignallingOptions options;
    options.target = client::SocketTarget::parse(options_.endpoint).value();
    options.token = token(user, channel);
    return options;
  }

  const Options& options_;
  gateway::TlsContext tls_;
  tools::DevelopmentKey key_;
  client::Loop loop_;
};

// Identified sessions with a slot, without media: what an idle participant costs the controller.
bool Bench::measure_memory() {
  std::vector<std::unique_ptr<client::Signalling>> sessions;
  int ready = 0;
  int ended = 0;
  const auto open_some = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const std::string user = "m" + std::to_string(sessions.size());
      const auto options = signalling(user, "channel-" + std::to_string(sessions.size() / 10));
      client::SignallingEvents events;
      events.on_ready = [&ready](const client::ReadyMessage&) { ++ready; };
      events.on_ended = [&ended](const client::SignallingEnd&) { ++ended; };
      sessions.push_back(std::make_unique<client::Signalling>(
          loop_.get(), tls_, options, client::read_claims(options.token).value(), events));
      sessions.back()->start();
    }
    return loop_.run_until([&] { return ready == static_cast<int>(sessions.size()); }, seconds(60));
  };
  // A few at a time: a thousand handshakes at once leave a heap that says more about them than about
  // the sessions.
  const auto open = [&](int count) {
    for (int i = 0; i < count; i += handshakes_at_once) {
      if (!open_some(std::min(handshakes_at_once, count - i))) return false;
    }
    return true;
  };
  // The first ones grow what all share: buffers, tables, the allocator's arenas.
  if (!open(50)) return false;
  loop_.run_for(seconds(1));
  const std::int64_t before = resident_bytes(options_.relay_pid);
  if (!open(options_.sessions) || ended > 0) return false;
  loop_.run_for(seconds(1));
  const std::int64_t after = resident_bytes(options_.relay_pid);
  std::printf("signalling session: %.1f KiB resident each (%d real ones over TLS 1.3)\n",
              static_cast<double>(after - before) / options_.sessions / 1'024, options_.sessions);
  for (auto& session : sessions) session->leave();
  loop_.run_until([&] { return ended == static_cast<int>(sessions.size()); }, seconds(20));
  return true;
}

bool Bench::measure_joins() {
  client::VoiceClientOptions speaker_options;
  speaker_options.signalling = signalling("speaker", "joins");
  speaker_options.hearing.decodes = false;
  bool is_joined = false;
  client::VoiceClientEvents speaker_events;
  speaker_events.on_joined = [&] { is_joined = true; };
  auto speaker = client::VoiceClient::create(loop_.get(), tls_, speaker_options, speaker_events);
  if (!speaker) return false;
  auto tone = client::make_source("tone:440");
  speaker.value()->play(std::move(tone.value()));
  speaker.value()->start();
  if (!loop_.run_until([&] { return is_joined; }, seconds(10))) return false;
  loop_.run_for(milliseconds(200));

  std::vector<double> ms;
  for (int i = 0; i < options_.joins; ++i) {
    client::VoiceClientOptions options;
    options.signalling = signalling("j" + std::to_string(i), "joins");
    options.hearing.decodes = false;
    bool has_heard = false;
    bool has_ended = false;
    client::VoiceClientEvents events;
    events.on_packet = [&](const client::ReceivedPacket&) { has_heard = true; };
    events.on_ended = [&](const client::SignallingEnd&) { has_ended = true; };
    auto joiner = client::VoiceClient::create(loop_.get(), tls_, options, events);
    if (!joiner) return false;
    const Time start = client::monotonic_now();
    joiner.value()->start();
    if (!loop_.run_until([&] { return has_heard; }, seconds(10))) return false;
    ms.push_back(static_cast<double>((client::monotonic_now() - start).ns) / 1e6);
    joiner.value()->leave();
    loop_.run_until([&] { return has_ended; }, seconds(5));
  }
  std::sort(ms.begin(), ms.end());
  const auto at = [&](std::size_t percent) { return ms[(ms.size() - 1) * percent / 100]; };
  std::printf("join, TCP connect to first forwarded frame: p50 %.1f ms, p99 %.1f ms (%zu joins)\n",
              at(50), at(99), ms.size());
  return true;
}

int run(const Options& options) {
  if (!crypto::initialize()) return 1;
  auto tls = gateway::TlsContext::make_client(options.ca);
  auto key = tools::DevelopmentKey::load(options.state, "earshot");
  if (!tls || !key) {
    std::fprintf(stderr, "%s\n", (!tls ? tls.error() : key.error()).text.c_str());
    return 1;
  }
  Bench bench(options, tls.value(), key.value());
  if (bench.measure_joins() && bench.measure_memory()) return 0;
  std::fprintf(stderr, "not every session came up\n");
  return 1;
}

}  // namespace
}  // namespace earshot

int main(int argc, char** argv) {
  CLI::App app("Memory and join time of a running relay node");
  earshot::Options options;
  app.add_option("--endpoint", options.endpoint)->required();
  app.add_option("--ca", options.ca)->required();
  app.add_option("--state", options.state)->required();
  app.add_option("--relay-pid", options.relay_pid)->required();
  app.add_option("--sessions", options.sessions)->capture_default_str();
  app.add_option("--joins", options.joins)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return earshot::run(options);
}
