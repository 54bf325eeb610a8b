#include "tests/e2e/world.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "crypto/keys.h"

namespace earshot::test {

using client::VoiceClientEvents;

std::uint64_t Participant::received_from(Ssrc ssrc) const {
  const auto found = packets.find(ssrc);
  return found == packets.end() ? 0 : found->second.count;
}

std::uint64_t Participant::received_from(const Participant& other) const {
  return received_from(other.ssrc());
}

std::uint64_t Participant::received() const {
  std::uint64_t sum = 0;
  for (const auto& [ssrc, log] : packets) sum += log.count;
  return sum;
}

std::optional<client::SpeakerReport> Participant::heard(const std::string& other) const {
  for (const auto& report : client->report()) {
    if (report.user_id == other) return report;
  }
  return std::nullopt;
}

std::optional<client::SpeakingMessage> Participant::last_speaking(const std::string& other) const {
  for (auto it = speaking.rbegin(); it != speaking.rend(); ++it) {
    if (it->user_id == other) return *it;
  }
  return std::nullopt;
}

std::vector<std::size_t> Participant::positions_of(int op) const {
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (nlohmann::json::parse(messages[i])["op"] == op) positions.push_back(i);
  }
  return positions;
}

namespace {

void note(PacketLog& log, const client::ReceivedPacket& packet) {
  if (log.count == 0) log.first = packet.arrival;
  if (log.count > 0) log.gap_max = std::max(log.gap_max, packet.arrival - log.last);
  log.last = packet.arrival;
  ++log.count;
  if (!log.sequences.insert(packet.sequence).second) ++log.repeated;
}

VoiceClientEvents write_down(Participant& p) {
  VoiceClientEvents events;
  events.on_joined = [&p] { ++p.joins; };
  events.on_resumed = [&p] { ++p.resumes; };
  events.on_said = [&p] { ++p.said; };
  events.on_interrupted = [&p](client::AfterClose next, const client::SignallingEnd& why) {
    p.interruptions.emplace_back(next, why);
  };
  events.on_ended = [&p](const client::SignallingEnd& why) { p.end = why; };
  events.on_speaking = [&p](const client::SpeakingMessage& one) { p.speaking.push_back(one); };
  events.on_client_connect = [&p](const std::string& user) { p.came.push_back(user); };
  events.on_client_disconnect = [&p](const std::string& user) { p.left.push_back(user); };
  events.on_message = [&p](std::string_view text) { p.messages.emplace_back(text); };
  events.on_packet = [&p](const client::ReceivedPacket& packet) {
    note(p.packets[packet.ssrc], packet);
    if (p.on_packet) p.on_packet(packet);
  };
  return events;
}

}  // namespace

World::World(std::vector<std::string> settings, const std::vector<std::string>& options)
    : relay(std::move(settings), options),
      tls(gateway::TlsContext::make_client(relay.ca_path()).value()) {}

World::~World() = default;

client::SocketTarget World::target() const {
  return {relay.gateway().ip.to_string(), relay.gateway().port, "/"};
}

Participant& World::start_with_token(const std::string& user, const std::string& token,
                                     const Change& change) {
  Participant& p = *participants.emplace_back(std::make_unique<Participant>());
  p.user = user;
  client::VoiceClientOptions options;
  options.signalling.target = target();
  options.signalling.token = token;
  options.hearing.finds_tones = true;
  if (change) change(options);
  auto created = client::VoiceClient::create(loop.get(), tls, std::move(options), write_down(p));
  REQUIRE(created);
  p.client = std::move(created.value());
  p.client->start();
  return p;
}

Participant& World::start(const std::string& user, const std::string& channel,
                          const Change& change) {
  return start_with_token(user, relay.sign(user, channel), change);
}

Participant& World::join_with_token(const std::string& user, const std::string& token,
                                    const Change& change) {
  Participant& p = start_with_token(user, token, change);
  run_until([&p] { return p.joins > 0 || p.end.has_value(); });
  REQUIRE_MESSAGE(p.joins == 1, user, ": ", p.end ? p.end->text : "no answer");
  return p;
}

Participant& World::join(const std::string& user, const std::string& channel,
                         const Change& change) {
  return join_with_token(user, relay.sign(user, channel), change);
}

void World::drop(Participant& participant) {
  participant.client->vanish();
}

void World::speak(Participant& participant, double hz) {
  participant.client->play(std::make_unique<client::ToneSource>(hz));
}

void World::fall_silent(Participant& participant) {
  participant.client->play(nullptr);
  REQUIRE(run_until([&] { return !participant.client->is_talking(); }));
}

void World::talk(const std::vector<Participant*>& speakers, Duration duration) {
  // The relay sends to a client when it is sure that the key has arrived: some frames later.
  settle();
  double hz = 440;
  for (Participant* speaker : speakers) {
    speak(*speaker, hz);
    hz += 150;
  }
  run_for(duration);
  for (Participant* speaker : speakers) fall_silent(*speaker);
  settle();
}

bool World::run_until(const std::function<bool()>& done, Duration limit) {
  // Not everything that a test waits for wakes the loop: a process may end.
  const Time deadline = client::monotonic_now() + limit;
  while (!loop.run_until(done, milliseconds(10))) {
    if (client::monotonic_now() > deadline) return false;
  }
  return true;
}

Change counting() {
  return [](client::VoiceClientOptions& options) { options.hearing.decodes = false; };
}

void check_hears(const Participant& listener, const Participant& speaker, double hz) {
  CAPTURE(listener.user);
  CAPTURE(speaker.user);
  const auto report = listener.heard(speaker.user);
  REQUIRE(report);
  const auto sent = speaker.client->frames_sent();
  CHECK(report->ssrc == speaker.ssrc());
  CHECK(report->received * 100 >= sent * 98);
  CHECK(report->received <= sent);
  CHECK(report->duplicates == 0);
  CHECK(report->undecodable == 0);
  CHECK(report->tone.hz == doctest::Approx(hz).epsilon(0.02));
  CHECK(report->tone.share > 0.9);
  CHECK(listener.client->media_counters().unauthenticated == 0);
}

void check_hears_nothing(const Participant& listener) {
  CAPTURE(listener.user);
  CHECK(listener.received() == 0);
  CHECK(listener.client->media_counters().unauthenticated == 0);
}

}  // namespace earshot::test
