#include "tests/support/control_rig.h"

#include <algorithm>

#include "relay/base/check.h"

namespace earshot::test {
namespace {

const std::vector<std::uint8_t>& token_key() {
  static const std::vector<std::uint8_t> key(32, 7);
  return key;
}

std::vector<crypto::AeadMode> available_modes() {
  RELAY_CHECK(crypto::initialize());
  std::vector<crypto::AeadMode> modes{crypto::AeadMode::aes256_gcm_rtpsize,
                                      crypto::AeadMode::xchacha20_poly1305_rtpsize};
  std::erase_if(modes, [](crypto::AeadMode mode) { return !crypto::is_available(mode); });
  return modes;
}

control::MembershipOptions membership_options(const ControlRigOptions& options) {
  control::MembershipOptions o;
  o.channel_participants_per_worker_max = options.channel_participants_per_worker_max;
  o.sessions_per_worker_max = options.sessions_per_worker_max;
  return o;
}

control::SessionsOptions sessions_options(const ControlRigOptions& options, Endpoint media,
                                          std::vector<crypto::AeadMode> modes) {
  control::SessionsOptions o;
  o.media = media;
  o.modes = std::move(modes);
  o.unidentified_per_address_max = options.unidentified_per_address_max;
  o.bad_tokens_per_address_max = options.bad_tokens_per_address_max;
  o.introductions_per_part = options.introductions_per_part;
  return o;
}

}  // namespace

ControlRig::ControlRig(const ControlRigOptions& options)
    : modes(available_modes()),
      workers(options.workers, options.sessions_per_worker_max),
      membership(workers.commands, membership_options(options)),
      verifier("earshot", {{"test", gateway::TokenAlgorithm::hs256, token_key()}}),
      sessions(membership, workers.commands, verifier,
               sessions_options(options, workers.group->bound(), modes),
               {[this] { return now; }, [this] { return unix_now; }}),
      heartbeats_at_(now) {
  workers.on_event = [this](const Event& event) { sessions.on_event(event); };
}

Person ControlRig::person(gateway::Claims claims) {
  Person person{std::move(claims), {}};
  renew(person);
  return person;
}

Person ControlRig::person(const std::string& user, const std::string& channel,
                          const std::string& server) {
  gateway::Claims claims;
  claims.user_id = user;
  claims.server_id = server;
  claims.channel_id = channel;
  claims.session_id = "session-" + user;
  return person(std::move(claims));
}

void ControlRig::renew(Person& person) {
  const std::int64_t before = person.claims.expires;
  person.claims.expires = std::max(unix_now + 600, before + 1);
  person.token = gateway::make_token("earshot", person.claims, "test",
                                     gateway::TokenAlgorithm::hs256, token_key());
}

GatewayClient* ControlRig::try_connect(const Person& who, int version, const IpAddress& peer) {
  if (!sessions.admits(peer)) return nullptr;
  clients.push_back(std::make_unique<GatewayClient>(sessions, who, version, peer));
  return clients.back().get();
}

GatewayClient& ControlRig::connect(const Person& who, int version, const IpAddress& peer) {
  GatewayClient* client = try_connect(who, version, peer);
  RELAY_CHECK(client != nullptr);
  return *client;
}

GatewayClient& ControlRig::identify(const Person& who, int version) {
  GatewayClient& client = connect(who, version);
  client.identify();
  settle();
  return client;
}

GatewayClient& ControlRig::join(const Person& who, int version) {
  GatewayClient& client = identify(who, version);
  client.select();
  settle();
  deliver_description();
  return client;
}

GatewayClient& ControlRig::resume(const GatewayClient& before) {
  GatewayClient& client = connect(before.person, before.version);
  client.resume(before.version == 8 ? std::optional(before.last_seq()) : std::nullopt);
  settle();
  return client;
}

void ControlRig::settle() {
  for (bool goes_on = true; goes_on;) {
    workers.settle();
    goes_on = false;
    for (const auto& client : clients) {
      goes_on = client->finish_close() || goes_on;
      if (are_queues_drained) goes_on = client->drain() || goes_on;
    }
  }
}

void ControlRig::advance(Duration duration) {
  for (const Time end = now + duration; now < end;)
    step(std::min(limits::sweep_interval, end - now));
  settle();
}

void ControlRig::step(Duration duration) {
  sessions.on_tick();
  now = now + duration;
  beat();
  sessions.on_tick();
  sessions.on_sweep();
  for (const auto& client : clients) client->finish_close();
}

void ControlRig::beat() {
  if (!are_heartbeats_sent || now - heartbeats_at_ < limits::heartbeat_interval) return;
  heartbeats_at_ = now;
  for (const auto& client : clients) {
    if (client->has_session()) client->heartbeat();
  }
}

}  // namespace earshot::test
