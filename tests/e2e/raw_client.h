// Signalling by hand: any text over a TLS WebSocket, and everything that comes back; and a session
// whose every step a test takes itself. On the world's loop.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/e2e/world.h"
#include "tests/support/media_client.h"
#include "tools/client/secure_socket.h"

namespace earshot::test {

using Json = nlohmann::json;

class RawGateway {
 public:
  // Waits until it is open.
  explicit RawGateway(World& world, const std::string& path = "/?v=8");
  RawGateway(World& world, client::SocketTarget target);

  void send(int op, const Json& data) { send_text(Json{{"op", op}, {"d", data}}.dump()); }
  void send_text(std::string_view text) { socket_->send_text(text); }
  void send_binary(std::string_view bytes) { socket_->send_binary(bytes); }
  void send_raw(std::string_view bytes) { socket_->send_raw(bytes); }
  void identify(const gateway::Claims& claims, const std::string& token);
  void resume(const std::string& server, const std::string& session, const std::string& token,
              std::optional<int> seq_ack = std::nullopt);
  void select_protocol(const Endpoint& address, const std::string& mode);

  // The next message with that opcode that no call has answered yet; messages before it are passed
  // over. Fails the test if it does not come.
  Json next(int op);
  // Was there one among those that came so far?
  bool has(int op) const;
  std::vector<int> opcodes() const;
  // The code that the relay closes with: 0 if it does not within the limit.
  std::uint16_t close_code(Duration limit = seconds(5));
  bool is_closed() const { return closed_.has_value(); }
  const std::string& close_reason() const { return closed_->reason; }

  void close(std::uint16_t code) { socket_->close(code, ""); }
  // Resets the TCP connection.
  void cut() { socket_->cut(); }

  std::vector<Json> messages;

 private:
  World& world_;
  std::optional<client::SocketClosed> closed_;
  std::size_t read_ = 0;
  std::unique_ptr<client::SecureSocket> socket_;
};

// Joined by hand, with a media transport of its own.
class RawSession {
 public:
  // The change is made to the claims before the token is signed.
  RawSession(World& world, const gateway::Claims& claims, int version = 8,
             const std::string& mode = "aead_xchacha20_poly1305_rtpsize");

  // A new connection that resumes: it is not waited for.
  RawGateway& resume(std::optional<int> seq_ack);
  RawGateway& resume_with(const std::string& token, std::optional<int> seq_ack);
  // Sends the next frame.
  void speak();
  std::uint64_t received() const { return received_; }
  std::uint64_t received_from(Ssrc ssrc) const;
  // Of the last numbered message.
  int sequence() const;

  World& world;
  gateway::Claims claims;
  std::string token;
  int version;
  std::unique_ptr<RawGateway> gateway;
  Ssrc ssrc;
  std::string mode;
  std::array<std::uint8_t, crypto::key_size> key{};
  Endpoint seen;  // as IP discovery told
  std::unique_ptr<client::MediaTransport> media;

 private:
  void join();

  std::uint64_t received_ = 0;
  std::map<Ssrc, std::uint64_t> received_from_;
  std::uint16_t sequence_ = 100;
  std::uint32_t timestamp_ = 5'000;
};

}  // namespace earshot::test
