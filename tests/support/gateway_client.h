// The client's half of a gateway connection without a socket: what a voice library sends, and a
// record of what it was sent. Tests only.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/gateway/connection.h"
#include "relay/gateway/token.h"

namespace earshot::test {

// Who wants to be where, and the token that says so.
struct Person {
  gateway::Claims claims;
  std::string token;
};

class GatewayClient {
 public:
  using Json = nlohmann::json;

  // `version` as it stands in the request target; 0: without one.
  GatewayClient(gateway::ConnectionEvents& events, Person who, int v, const IpAddress& peer);
  ~GatewayClient();
  GatewayClient(const GatewayClient&) = delete;
  GatewayClient& operator=(const GatewayClient&) = delete;

  // --- What it does ---
  void identify();
  void select(std::string_view mode = "aead_xchacha20_poly1305_rtpsize",
              const Endpoint& address = {});
  void heartbeat();
  void heartbeat(std::int64_t seq_ack);
  void speak(int flags);
  void resume();  // from v8 on with the last number that it has read
  void resume(std::optional<std::int64_t> seq_ack);
  void send(const Json& message);
  void send_text(std::string_view message);
  void send_binary(std::string_view message);
  // A request that is answered at once.
  gateway::HttpResponse request(const gateway::HttpRequest& request);
  // Its close frame; or the connection breaks.
  void leave(std::uint16_t code = 1000);
  void cut() { leave(1006); }

  // --- What it has received ---
  const std::vector<Json>& received() const { return received_; }
  // Since the last call.
  std::vector<Json> take();
  std::vector<int> take_opcodes();
  // The last one; null without any.
  Json last(int opcode) const;
  std::size_t count(int opcode) const;
  std::int64_t last_seq() const { return last_seq_; }
  std::uint32_t ssrc() const { return last(2).at("d").at("ssrc").get<std::uint32_t>(); }
  std::vector<std::uint8_t> key() const;

  // --- The connection, as the relay sees it ---
  bool is_open() const { return connection_ != nullptr && !close_code && !is_aborted; }
  // Ready or Resumed has come.
  bool has_session() const { return has_session_; }
  // The relay has been told of its end, and has forgotten it.
  bool is_over() const { return connection_ == nullptr; }
  // Tells the relay that a connection which it closed or aborted has ended. False if there is none.
  bool finish_close();
  // Tells the relay that what it has sent has left its queue. False if there was nothing.
  bool drain();
  // While false the peer's TCP acknowledges nothing.
  void set_acknowledging(bool is_acknowledging);

  Person person;
  const int version;
  std::optional<std::uint16_t> close_code;  // the relay's
  bool is_aborted = false;
  std::optional<Duration> round_trip;  // what the relay's kernel would measure

 private:
  class Link;
  void end(std::uint16_t code);
  void on_text(std::string_view text);

  gateway::ConnectionEvents& events_;
  std::unique_ptr<Link> connection_;
  std::vector<Json> received_;
  std::size_t taken_ = 0;
  std::int64_t last_seq_ = -1;
  bool has_session_ = false;
};

// Opcodes of messages, in order.
std::vector<int> opcodes(const std::vector<nlohmann::json>& messages);

}  // namespace earshot::test
