#include "tools/earshot/replay_live.h"

#include <uv.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "codec/opus.h"
#include "crypto/keys.h"
#include "tools/client/voice_client.h"
#include "tools/earshot/api_client.h"
#include "tools/earshot/command.h"
#include "tools/earshot/ctl_call.h"
#include "tools/earshot/development_token.h"
#include "tools/replay/recording.h"

namespace earshot::tools {
namespace {

using replay::Judged;
using replay::LiveLog;
using replay::Trace;
using replay::TracePacket;
using replay::Verdict;

constexpr Duration join_time_max = seconds(30);
// Op 4 has reached everybody, and media flows.
constexpr Duration start_after = milliseconds(500);
constexpr Duration token_lifetime = seconds(3'500);
// libuv's timers round up to milliseconds: the last of them are waited out.
constexpr Duration timer_rounding = milliseconds(1);
constexpr Duration spin = milliseconds(2);

// A packet on its way: which one, and when after the start.
struct Departure {
  Duration at;
  std::uint32_t packet = 0;  // of the input
};

// What can identify a packet at a listener.
using PacketKey = std::tuple<std::size_t, std::uint16_t, std::uint32_t>;

std::vector<Departure> departures(const Trace& trace, const std::vector<Ssrc>& streams,
                                  const replay::RunOptions& options) {
  const Time origin = trace.packets.front().arrival;
  std::map<Ssrc, replay::Path> paths;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    paths.emplace(
        streams[i],
        replay::Path(options.uplink, replay::path_seed(options.seed, i, replay::Direction::uplink),
                     origin));
  }
  std::vector<Departure> list;
  std::vector<Time> arrivals;
  for (std::uint32_t i = 0; i < trace.packets.size(); ++i) {
    const TracePacket& packet = trace.packets[i];
    replay::Path& path = paths.at(packet.ssrc);
    arrivals.clear();
    path.send(path.sent_at(packet.arrival), packet.size + limits::media_overhead, arrivals);
    for (const Time at : arrivals) list.push_back({at - origin, i});
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Departure& a, const Departure& b) { return a.at < b.at; });
  return list;
}

class Session {
 public:
  Session(const Trace& trace, const replay::RunOptions& options, const LiveOptions& live)
      : input_(trace), options_(options), live_(live), streams_(replay::streams_of(trace)) {}

  std::optional<LiveFailure> run(LiveResult& out);

 private:
  Result<std::vector<std::string>> tokens() const;
  Result<void> join();
  Result<void> add_client(const std::string& token, std::optional<std::size_t> listener);
  Result<void> send_all();
  void send(const Departure& departure);
  void wait_until(Time time);
  void on_packet(std::size_t listener, const client::ReceivedPacket& packet);
  std::optional<LiveFailure> judge(LiveResult& out);
  Result<replay::Recording> record();
  void note(const replay::Recording& recording, LiveResult& out);
  void note_heard();

  const Trace& input_;
  const replay::RunOptions& options_;
  const LiveOptions& live_;
  std::vector<Ssrc> streams_;

  std::optional<gateway::TlsContext> tls_;
  client::Loop loop_;
  std::vector<std::unique_ptr<client::VoiceClient>> clients_;
  std::string ended_;  // somebody's session did, and why

  Trace sent_;  // times are those of sending
  std::vector<std::uint32_t> stream_of_sent_, input_of_sent_;
  std::map<PacketKey, std::uint32_t> sent_by_key_;
  std::map<Ssrc, std::size_t> stream_by_relay_ssrc_;
  LiveLog log_;
};

Result<std::vector<std::string>> Session::tokens() const {
  const std::size_t count = streams_.size() + options_.listeners.size();
  std::vector<std::string> tokens;
  if (!live_.token_file.empty()) {
    std::ifstream file(live_.token_file);
    if (!file) return Error{"cannot read " + live_.token_file + ": " + std::strerror(errno)};
    for (std::string line; std::getline(file, line);) {
      if (!line.empty()) tokens.push_back(line);
    }
    if (tokens.size() >= count) return tokens;
    return Error{live_.token_file + " has " + std::to_string(tokens.size()) + " tokens; " +
                 std::to_string(streams_.size()) + " streams and " +
                 std::to_string(options_.listeners.size()) + " listeners need " +
                 std::to_string(count)};
  }
  auto key = DevelopmentKey::load(live_.state, live_.cluster);
  if (!key) return key.error();
  const std::string run = std::to_string(client::monotonic_now().ns);
  for (std::size_t i = 0; i < count; ++i) {
    const bool speaks = i < streams_.size();
    gateway::Claims claims;
    claims.server_id = "1";
    claims.channel_id = run;
    claims.user_id = std::to_string(i + 1);
    claims.session_id = "replay-" + run + "-" + std::to_string(i);
    claims.grants.speak = speaks;
    claims.grants.late_ms_max = options_.policy.ms;
    tokens.push_back(key.value().sign(claims, token_lifetime));
  }
  return tokens;
}

Result<void> Session::add_client(const std::string& token, std::optional<std::size_t> listener) {
  auto target = client::SocketTarget::parse(live_.endpoint);
  if (!target) return Error{"--endpoint: " + target.error().text};
  client::VoiceClientOptions options;
  options.signalling.target = target.value();
  options.signalling.token = token;
  options.hearing.decodes = false;
  client::VoiceClientEvents events;
  if (listener) {
    events.on_packet = [this, listener](const client::ReceivedPacket& packet) {
      on_packet(*listener, packet);
    };
  }
  events.on_ended = [this](const client::SignallingEnd& end) {
    if (ended_.empty()) ended_ = end.text;
  };
  auto created =
      client::VoiceClient::create(loop_.get(), *tls_, std::move(options), std::move(events));
  if (!created) return created.error();
  clients_.push_back(std::move(created.value()));
  clients_.back()->start();
  return {};
}

Result<void> Session::join() {
  auto tls = gateway::TlsContext::make_client(live_.ca);
  if (!tls) return tls.error();
  tls_.emplace(std::move(tls.value()));
  const auto list = tokens();
  if (!list.ok()) return list.error();
  const std::size_t count = streams_.size() + options_.listeners.size();
  for (std::size_t i = 0; i < count; ++i) {
    const bool listens = i >= streams_.size();
    const auto listener = listens ? std::optional(i - streams_.size()) : std::nullopt;
    if (auto added = add_client(list.value()[i], listener); !added.ok()) return added;
  }
  const auto has_joined = [this] {
    return !ended_.empty() || std::all_of(clients_.begin(), clients_.end(),
                                          [](const auto& c) { return c->is_joined(); });
  };
  if (!loop_.run_until(has_joined, join_time_max)) {
    return Error{"not everybody could join " + live_.endpoint + " within 30 s"};
  }
  if (!ended_.empty()) return Error{ended_};
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    stream_by_relay_ssrc_[clients_[i]->ssrc()] = i;
    clients_[i]->signalling().set_speaking(clients_[i]->ssrc(), true);
  }
  loop_.run_for(start_after);
  return {};
}

void Session::wait_until(Time time) {
  for (;;) {
    const Duration left = time - client::monotonic_now();
    if (left <= Duration{}) return;
    if (left > spin) {
      loop_.run_for(left - timer_rounding);
    } else {
      uv_run(loop_.get(), UV_RUN_NOWAIT);
    }
  }
}

void Session::send(const Departure& departure) {
  TracePacket packet = input_.packets[departure.packet];
  const auto stream = static_cast<std::size_t>(
      std::find(streams_.begin(), streams_.end(), packet.ssrc) - streams_.begin());
  std::vector<std::uint8_t> frame(std::max<std::size_t>(packet.size, 1));
  const auto payload = input_.payload(packet);
  if (!payload.empty()) {
    frame.assign(payload.begin(), payload.end());
  } else if (frame.size() == sizeof codec::silence_frame) {
    frame.assign(std::begin(codec::silence_frame), std::end(codec::silence_frame));
  }
  client::MediaTransport* const media = clients_[stream]->media();
  const auto at = media->send(packet.sequence, packet.timestamp, frame);
  // What the kernel refuses is lost on the way, like other things.
  packet.arrival = std::max(at.value_or(client::monotonic_now()),
                            sent_.packets.empty() ? Time{} : sent_.packets.back().arrival);
  sent_by_key_[{stream, packet.sequence, packet.timestamp}] =
      static_cast<std::uint32_t>(sent_.packets.size());
  sent_.packets.push_back(packet);
  stream_of_sent_.push_back(static_cast<std::uint32_t>(stream));
  input_of_sent_.push_back(departure.packet);
}

Result<void> Session::send_all() {
  sent_.is_sending_time = true;
  sent_.arena = input_.arena;
  sent_.payload_offsets = input_.payload_offsets;
  sent_.notes = input_.notes;
  const auto list = departures(input_, streams_, options_);
  const Time start = client::monotonic_now() + milliseconds(20);
  std::size_t done = 0;
  for (const Departure& departure : list) {
    wait_until(start + departure.at);
    if (!ended_.empty()) return Error{"somebody's session ended in the middle: " + ended_};
    send(departure);
    if (options_.on_progress && ++done % 50 == 0) {
      options_.on_progress(static_cast<double>(done) / static_cast<double>(list.size()));
    }
  }
  loop_.run_for(live_.settle);
  return sent_.packets.empty() ? Result<void>{Error{"the uplink's model lost every packet"}}
                               : Result<void>{};
}

void Session::on_packet(std::size_t listener, const client::ReceivedPacket& packet) {
  const auto stream = stream_by_relay_ssrc_.find(packet.ssrc);
  if (stream == stream_by_relay_ssrc_.end()) return;
  const auto sent = sent_by_key_.find({stream->second, packet.sequence, packet.timestamp});
  if (sent == sent_by_key_.end()) return;
  log_.receptions.push_back({packet.arrival, static_cast<std::uint32_t>(listener), sent->second});
}

Result<replay::Recording> Session::record() {
  CtlOptions options;
  options.api = live_.api;
  options.ca = live_.ca;
  options.key_file = live_.api_key_file;
  options.state = live_.state;
  auto target = find_api(options);
  if (!target) return target.error();
  ApiClient api(std::move(target.value()));
  ApiRequest request;
  request.method = "POST";
  request.path = "/v1/recordings";
  request.body = "{}";
  auto made = api.send(request);
  if (!made) return made.error();
  if (!made.value().is_success()) {
    return Error{"the node makes no recording: " + made.value().body};
  }
  const auto description = nlohmann::json::parse(made.value().body, nullptr, false);
  if (!description.is_object() || !description.contains("name")) {
    return Error{"the node's answer about its recording is not understood"};
  }
  ApiRequest fetch;
  fetch.path = "/v1/recordings/" + description["name"].get<std::string>();
  auto bytes = api.send(fetch);
  if (!bytes) return bytes.error();
  if (!bytes.value().is_success()) return Error{"the recording cannot be fetched"};
  std::string& dump = bytes.value().body;
  if (!live_.recording.empty()) {
    std::ofstream file(live_.recording, std::ios::binary);
    file << dump;
    if (!file.flush()) return Error{"cannot write " + live_.recording};
  }
  std::FILE* const file = fmemopen(dump.data(), dump.size(), "rb");
  if (file == nullptr) return Error{"the node's recording is empty"};
  auto recording = replay::read_recording(file, "the node's recording");
  std::fclose(file);
  return recording;
}

// The k-th packet of a stream with these numbers in the recording is the k-th that was sent with
// them.
void Session::note(const replay::Recording& recording, LiveResult& out) {
  std::multimap<PacketKey, std::uint32_t> waiting;
  for (std::uint32_t i = 0; i < sent_.packets.size(); ++i) {
    const TracePacket& p = sent_.packets[i];
    waiting.insert({{stream_of_sent_[i], p.sequence, p.timestamp}, i});
  }
  const auto rejudged = replay::rejudge(recording);
  for (std::size_t i = 0; i < recording.packets.size(); ++i) {
    const flight::Packet& p = recording.packets[i].packet;
    const auto stream = stream_by_relay_ssrc_.find(p.ssrc);
    if (stream == stream_by_relay_ssrc_.end()) continue;
    const auto sent = waiting.find({stream->second, p.sequence, p.timestamp});
    if (sent == waiting.end()) continue;
    const bool is_judged = rejudged[i].basis == replay::Rejudged::Basis::judged;
    log_.verdicts[sent->second] = {replay::verdict_of(p.reason), is_judged,
                                   rejudged[i].lateness_ticks};
    waiting.erase(sent);
    if (is_judged) ++(rejudged[i].reason == p.reason ? out.reproduced : out.different);
    if (rejudged[i].basis == replay::Rejudged::Basis::unknown) ++out.different;
  }
}

// Without a recording: what anybody got was kept, and of the rest nothing is known.
void Session::note_heard() {
  for (const LiveLog::Reception& r : log_.receptions) log_.verdicts[r.packet] = {};
}

std::optional<LiveFailure> Session::judge(LiveResult& out) {
  log_.verdicts.assign(sent_.packets.size(), {Verdict::lost});
  if (live_.api.empty()) {
    note_heard();
    return std::nullopt;
  }
  const auto recording = record();
  if (!recording.ok()) return LiveFailure{recording.error().text, exit_failed};
  if (!replay::covers(recording.value(), sent_.packets.front().arrival,
                      sent_.packets.back().arrival)) {
    return LiveFailure{
        "the replay was longer than the node's flight recorder: raise recorder.seconds and "
        "recorder.memory_mib there, or replay less",
        exit_usage};
  }
  note(recording.value(), out);
  out.has_recording = true;
  return std::nullopt;
}

std::optional<LiveFailure> Session::run(LiveResult& out) {
  if (auto joined = join(); !joined.ok()) return LiveFailure{joined.error().text, exit_failed};
  if (auto sent = send_all(); !sent.ok()) return LiveFailure{sent.error().text, exit_failed};
  if (auto failure = judge(out)) return failure;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    out.streams.push_back({streams_[i], clients_[i]->ssrc()});
  }
  for (const auto& c : clients_) c->leave();
  loop_.run_until(
      [this] {
        return std::all_of(clients_.begin(), clients_.end(),
                           [](const auto& c) { return c->is_ended(); });
      },
      seconds(5));
  replay::RunOptions options = options_;
  std::stable_sort(log_.receptions.begin(), log_.receptions.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  options.live = &log_;
  options.on_progress = {};
  auto result = replay::run(sent_, options);
  if (!result) return LiveFailure{result.error().text, exit_failed};
  out.result = std::move(result.value());
  out.verdicts.assign(input_.packets.size(), {Verdict::lost});
  // Of copies that the uplink's model made, the first counts.
  for (std::size_t i = sent_.packets.size(); i-- > 0;) {
    out.verdicts[input_of_sent_[i]] = log_.verdicts[i];
  }
  out.trace = std::move(sent_);
  return std::nullopt;
}

}  // namespace

std::optional<LiveFailure> run_live(const Trace& trace, const replay::RunOptions& options,
                                    const LiveOptions& live, LiveResult& out) {
  if (!crypto::initialize()) return LiveFailure{"libsodium does not work here", exit_failed};
  if (trace.packets.empty()) return LiveFailure{"there is no packet to replay", exit_failed};
  return Session(trace, options, live).run(out);
}

}  // namespace earshot::tools
