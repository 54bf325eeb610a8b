#include "tests/support/gateway_client.h"

#include <utility>

#include "relay/base/check.h"

namespace earshot::test {

using Json = nlohmann::json;

// Keeps the contract of gateway::Connection: no call calls back, and nothing is taken once closing.
class GatewayClient::Link final : public gateway::Connection {
 public:
  Link(GatewayClient& client, const IpAddress& peer) : client_(client), peer_{peer, 40'000} {}

  const Endpoint& peer() const override { return peer_; }
  void respond(const gateway::HttpResponse&) override { RELAY_CHECK(false && "nothing is owed"); }
  bool begin_stream(const gateway::HttpResponse&) override { return false; }
  bool send_stream(std::string_view) override { return false; }
  void end_stream() override {}
  void send_text(std::string_view message) override {
    if (!client_.is_open()) return;
    sent_ += message.size() + frame_overhead;
    has_queued_ = true;
    client_.on_text(message);
  }
  void send_binary(std::string_view) override {
    RELAY_CHECK(false && "nothing binary is ever sent");
  }
  void close(std::uint16_t code, std::string_view reason) override {
    RELAY_CHECK(reason.size() <= 123);  // RFC 6455 s5.5
    if (client_.is_open()) client_.close_code = code;
  }
  void abort() override { client_.is_aborted = true; }
  std::size_t send_queue_bytes() const override { return 0; }
  std::uint64_t sent_position() const override { return sent_; }
  std::uint64_t acknowledged_position() const override { return acknowledged_.value_or(sent_); }
  std::optional<Duration> round_trip() const override { return client_.round_trip; }

  bool take_queued() { return std::exchange(has_queued_, false); }
  void set_acknowledging(bool is_acknowledging) {
    acknowledged_ = is_acknowledging ? std::nullopt : std::optional(sent_);
  }

 private:
  static constexpr std::uint64_t frame_overhead = 26;  // WebSocket and TLS

  GatewayClient& client_;
  Endpoint peer_;
  std::uint64_t sent_ = 300;  // the handshake
  bool has_queued_ = false;
  std::optional<std::uint64_t> acknowledged_;
};

GatewayClient::GatewayClient(gateway::ConnectionEvents& events, Person who, int v,
                             const IpAddress& peer)
    : person(std::move(who)),
      version(v),
      events_(events),
      connection_(std::make_unique<Link>(*this, peer)) {
  gateway::HttpRequest request;
  request.method = "GET";
  request.path = "/";
  if (version != 0) request.query = "v=" + std::to_string(version);
  events_.on_open(*connection_, request);
}

GatewayClient::~GatewayClient() = default;

void GatewayClient::on_text(std::string_view text) {
  received_.push_back(Json::parse(text));
  const Json& message = received_.back();
  if (message.contains("seq")) last_seq_ = message["seq"].get<std::int64_t>();
  has_session_ = has_session_ || message["op"] == 2 || message["op"] == 9;
}

void GatewayClient::send_text(std::string_view message) {
  if (is_open()) events_.on_text(*connection_, message);
}

void GatewayClient::send_binary(std::string_view message) {
  if (is_open()) events_.on_binary(*connection_, message);
}

gateway::HttpResponse GatewayClient::request(const gateway::HttpRequest& request) {
  return events_.on_request(*connection_, request).value();
}

void GatewayClient::send(const Json& message) {
  send_text(message.dump());
}

void GatewayClient::identify() {
  send({{"op", 0},
        {"d",
         {{"server_id", person.claims.server_id},
          {"user_id", person.claims.user_id},
          {"session_id", person.claims.session_id},
          {"token", person.token},
          {"max_dave_protocol_version", 1}}}});
}

void GatewayClient::select(std::string_view mode, const Endpoint& address) {
  send({{"op", 1},
        {"d",
         {{"protocol", "udp"},
          {"data",
           {{"address", address.ip.to_string()}, {"port", address.port}, {"mode", mode}}}}}});
}

void GatewayClient::heartbeat() {
  if (version == 8) return heartbeat(last_seq_);
  send({{"op", 3}, {"d", 1'501'184'119'561}});
}

void GatewayClient::heartbeat(std::int64_t seq_ack) {
  send({{"op", 3}, {"d", {{"t", 1'501'184'119'561}, {"seq_ack", seq_ack}}}});
}

void GatewayClient::speak(int flags) {
  send({{"op", 5}, {"d", {{"speaking", flags}, {"delay", 0}, {"ssrc", 0}}}});
}

void GatewayClient::resume() {
  resume(version == 8 ? std::optional(last_seq_) : std::nullopt);
}

void GatewayClient::resume(std::optional<std::int64_t> seq_ack) {
  Json d{{"server_id", person.claims.server_id},
         {"session_id", person.claims.session_id},
         {"token", person.token}};
  if (seq_ack) d["seq_ack"] = *seq_ack;
  send({{"op", 7}, {"d", std::move(d)}});
}

void GatewayClient::end(std::uint16_t code) {
  const Endpoint peer = connection_->peer();
  events_.on_closed(*connection_, code);
  connection_.reset();
  events_.on_released(peer.ip);
}

void GatewayClient::leave(std::uint16_t code) {
  if (connection_) end(code);
}

bool GatewayClient::finish_close() {
  if (!connection_ || is_open()) return false;
  end(is_aborted ? std::uint16_t{1006} : *close_code);
  return true;
}

bool GatewayClient::drain() {
  if (!connection_ || !is_open() || !connection_->take_queued()) return false;
  events_.on_drained(*connection_);
  return true;
}

void GatewayClient::set_acknowledging(bool is_acknowledging) {
  connection_->set_acknowledging(is_acknowledging);
}

std::vector<Json> GatewayClient::take() {
  std::vector<Json> fresh(received_.begin() + static_cast<std::ptrdiff_t>(taken_), received_.end());
  taken_ = received_.size();
  return fresh;
}

std::vector<int> GatewayClient::take_opcodes() {
  return opcodes(take());
}

Json GatewayClient::last(int opcode) const {
  for (auto it = received_.rbegin(); it != received_.rend(); ++it) {
    if ((*it)["op"] == opcode) return *it;
  }
  return nullptr;
}

std::size_t GatewayClient::count(int opcode) const {
  std::size_t count = 0;
  for (const Json& message : received_) count += message["op"] == opcode ? 1u : 0u;
  return count;
}

std::vector<std::uint8_t> GatewayClient::key() const {
  return last(4).at("d").at("secret_key").get<std::vector<std::uint8_t>>();
}

std::vector<int> opcodes(const std::vector<Json>& messages) {
  std::vector<int> list;
  for (const Json& message : messages) list.push_back(message["op"].get<int>());
  return list;
}

}  // namespace earshot::test
