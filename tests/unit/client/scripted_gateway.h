// A voice gateway that does what a test tells it to, on the loop of the client that talks to it:
// the relay's own listener underneath, a few lines of protocol above. Loop thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "relay/gateway/connection.h"
#include "relay/gateway/gateway_message.h"
#include "relay/gateway/listener.h"
#include "relay/gateway/token.h"
#include "tests/support/test_certificate.h"
#include "tools/client/event_loop.h"
#include "tools/client/secure_socket.h"

namespace earshot::test {

class ScriptedGateway final : public gateway::ConnectionEvents {
 public:
  explicit ScriptedGateway(client::Loop& loop,
                           const std::string& names = "DNS:localhost,IP:127.0.0.1,IP:::1",
                           const Endpoint& at = {make_v4(127, 0, 0, 1), 0})
      : certificate(names),
        tls(gateway::TlsContext::make_client(certificate.certificate_path()).value()) {
    gateway::ListenerOptions options;
    options.endpoints = {at};
    auto server =
        gateway::TlsContext::make_server(certificate.certificate_path(), certificate.key_path());
    listener = std::move(
        gateway::Listener::create(loop.get(), options, std::move(server.value()), *this).value());
  }

  client::SocketTarget target(std::string host = "127.0.0.1") const {
    return {std::move(host), listener->bound()[0].port, "/"};
  }

  // --- What it does ---
  Duration heartbeat_interval = milliseconds(13'750);
  bool answers_identify = true;
  bool answers_select = true;
  bool answers_resume = true;
  bool acknowledges_heartbeats = true;
  std::optional<std::uint16_t> close_at_open, close_at_identify, close_at_resume;
  Endpoint media{make_v4(127, 0, 0, 1), 9};
  Ssrc ssrc{77};
  std::vector<crypto::AeadMode> modes{crypto::AeadMode::aes256_gcm_rtpsize,
                                      crypto::AeadMode::xchacha20_poly1305_rtpsize};
  std::array<std::uint8_t, crypto::key_size> key{};

  void send(std::string_view text) { connections.back()->send_text(text); }
  void close(std::uint16_t code, std::string_view reason = "") {
    connections.back()->close(code, reason);
  }
  void abort() { connections.back()->abort(); }

  // --- What it saw ---
  std::vector<nlohmann::json> messages(int op) const {
    std::vector<nlohmann::json> found;
    for (const auto& message : received) {
      if (message["op"] == op) found.push_back(message["d"]);
    }
    return found;
  }
  std::size_t count(int op) const { return messages(op).size(); }

  std::vector<nlohmann::json> received;
  std::vector<std::string> binaries;
  std::vector<std::string> paths;       // of the connections, in order
  std::vector<std::uint16_t> closings;  // their close codes
  std::vector<gateway::Connection*> connections;

  TestCertificate certificate;
  gateway::TlsContext tls;
  std::unique_ptr<gateway::Listener> listener;

 private:
  std::optional<gateway::HttpResponse> on_request(gateway::Connection&,
                                                  const gateway::HttpRequest&) override {
    return gateway::HttpResponse{404, "text/plain", "no", {}};
  }
  bool accepts_websocket(const gateway::HttpRequest& request) override {
    return request.path == "/";
  }
  void on_open(gateway::Connection& connection, const gateway::HttpRequest& request) override {
    connections.push_back(&connection);
    paths.push_back(request.path + (request.query.empty() ? "" : "?" + request.query));
    if (close_at_open) return connection.close(*close_at_open, "");
    connection.send_text(gateway::hello_message(8, heartbeat_interval));
  }
  void on_text(gateway::Connection& connection, std::string_view text) override {
    received.push_back(nlohmann::json::parse(text));
    const auto message = gateway::parse_client_message(text);
    if (!std::holds_alternative<gateway::ClientMessage>(message)) return;
    answer(connection, std::get<gateway::ClientMessage>(message));
  }
  void answer(gateway::Connection& connection, const gateway::ClientMessage& message) {
    if (std::holds_alternative<gateway::Identify>(message)) {
      if (close_at_identify) return connection.close(*close_at_identify, "because");
      if (!answers_identify) return;
      connection.send_text(
          gateway::ready_message({ssrc, media.ip, media.port, modes, heartbeat_interval}));
    } else if (const auto* select = std::get_if<gateway::SelectProtocol>(&message)) {
      if (!answers_select) return;
      const auto mode = crypto::parse_aead_mode(select->mode);
      connection.send_text(gateway::session_description_message(mode.value_or(modes[0]), key));
    } else if (std::holds_alternative<gateway::Resume>(message)) {
      if (close_at_resume) return connection.close(*close_at_resume, "");
      if (answers_resume) connection.send_text(gateway::resumed_message());
    } else if (const auto* beat = std::get_if<gateway::Heartbeat>(&message)) {
      if (acknowledges_heartbeats) connection.send_text(gateway::heartbeat_ack_message(*beat));
    }
  }
  void on_binary(gateway::Connection&, std::string_view message) override {
    binaries.emplace_back(message);
  }
  void on_drained(gateway::Connection&) override {}
  void on_closed(gateway::Connection& connection, std::uint16_t code) override {
    std::erase(connections, &connection);
    closings.push_back(code);
  }
  bool admits(const IpAddress&) override { return true; }
};

// A token that any client reads and that no relay has to check.
inline std::string unchecked_token(const std::string& user = "alice") {
  gateway::Claims claims;
  claims.user_id = user;
  claims.server_id = "server";
  claims.channel_id = "channel";
  claims.session_id = "session";
  return gateway::make_token("earshot", claims, "dev", gateway::TokenAlgorithm::hs256,
                             std::vector<std::uint8_t>(32, 1));
}

}  // namespace earshot::test
