#include "tests/e2e/raw_client.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "codec/opus.h"

namespace earshot::test {
namespace {

client::SocketTarget with_path(client::SocketTarget target, const std::string& path) {
  target.path = path;
  return target;
}

}  // namespace

RawGateway::RawGateway(World& world, const std::string& path)
    : RawGateway(world, with_path(world.target(), path)) {}

RawGateway::RawGateway(World& world, client::SocketTarget target) : world_(world) {
  client::SocketEvents events;
  events.on_text = [this](std::string_view text) { messages.push_back(Json::parse(text)); };
  events.on_closed = [this](const client::SocketClosed& how) { closed_ = how; };
  socket_ = std::make_unique<client::SecureSocket>(world.loop.get(), world.tls, std::move(target),
                                                   seconds(10), std::move(events));
  REQUIRE(world.run_until([this] { return socket_->is_open() || closed_; }));
}

void RawGateway::identify(const gateway::Claims& claims, const std::string& token) {
  send(0, {{"server_id", claims.server_id},
           {"user_id", claims.user_id},
           {"session_id", claims.session_id},
           {"token", token}});
}

void RawGateway::resume(const std::string& server, const std::string& session,
                        const std::string& token, std::optional<int> seq_ack) {
  Json data{{"server_id", server}, {"session_id", session}, {"token", token}};
  if (seq_ack) data["seq_ack"] = *seq_ack;
  send(7, data);
}

void RawGateway::select_protocol(const Endpoint& address, const std::string& mode) {
  send(1,
       {{"protocol", "udp"},
        {"data", {{"address", address.ip.to_string()}, {"port", address.port}, {"mode", mode}}}});
}

Json RawGateway::next(int op) {
  std::optional<Json> found;
  const bool came = world_.run_until([&] {
    while (read_ < messages.size() && !found) {
      const Json& message = messages[read_++];
      if (message["op"] == op) found = message;
    }
    return found || closed_;
  });
  CAPTURE(op);
  const std::string end = closed_ ? "closed with " + std::to_string(closed_->code) : "open";
  REQUIRE_MESSAGE((came && found), "the message did not come; the connection is ", end);
  return *found;
}

bool RawGateway::has(int op) const {
  return std::any_of(messages.begin(), messages.end(),
                     [op](const Json& message) { return message["op"] == op; });
}

std::vector<int> RawGateway::opcodes() const {
  std::vector<int> found;
  for (const Json& message : messages) found.push_back(message["op"]);
  return found;
}

std::uint16_t RawGateway::close_code(Duration limit) {
  world_.run_until([this] { return closed_.has_value(); }, limit);
  return closed_ ? closed_->code : std::uint16_t{0};
}

RawSession::RawSession(World& w, const gateway::Claims& c, int v, const std::string& m)
    : world(w), claims(c), token(w.relay.sign(c)), version(v), mode(m) {
  join();
}

void RawSession::join() {
  const std::string path = version == 0 ? "/" : "/?v=" + std::to_string(version);
  gateway = std::make_unique<RawGateway>(world, path);
  gateway->identify(claims, token);
  const Json ready = gateway->next(2)["d"];
  ssrc = {ready["ssrc"].get<std::uint32_t>()};
  client::MediaEvents events;
  events.on_discovered = [this](const Result<Endpoint>& answer) { seen = answer.value(); };
  events.on_packet = [this](const client::ReceivedPacket& packet) {
    ++received_;
    ++received_from_[packet.ssrc];
  };
  media = std::make_unique<client::MediaTransport>(world.loop.get(), client::MediaOptions{},
                                                   std::move(events));
  const Endpoint remote{*IpAddress::parse(ready["ip"].get<std::string>()),
                        ready["port"].get<std::uint16_t>()};
  REQUIRE(media->open(remote, ssrc));
  media->discover();
  REQUIRE(world.run_until([this] { return seen.is_set(); }));
  gateway->select_protocol(seen, mode);
  const Json description = gateway->next(4)["d"];
  CHECK(description["mode"] == mode);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = description["secret_key"][i];
  media->set_key(*crypto::parse_aead_mode(mode), key);
  // Until the relay is sure that op 4 has arrived: there is nothing to resume before that.
  world.settle();
}

RawGateway& RawSession::resume(std::optional<int> seq_ack) {
  return resume_with(token, seq_ack);
}

RawGateway& RawSession::resume_with(const std::string& with, std::optional<int> seq_ack) {
  const std::string path = version == 0 ? "/" : "/?v=" + std::to_string(version);
  gateway = std::make_unique<RawGateway>(world, path);
  gateway->resume(claims.server_id, claims.session_id, with, seq_ack);
  return *gateway;
}

void RawSession::speak() {
  media->send(sequence_++, timestamp_, codec::silence_frame);
  timestamp_ += codec::frame_samples_20ms;
}

std::uint64_t RawSession::received_from(Ssrc other) const {
  const auto found = received_from_.find(other);
  return found == received_from_.end() ? 0 : found->second;
}

int RawSession::sequence() const {
  for (auto it = gateway->messages.rbegin(); it != gateway->messages.rend(); ++it) {
    if (it->contains("seq")) return (*it)["seq"];
  }
  return -1;
}

}  // namespace earshot::test
