// The rules of one gateway connection, without a socket and without a clock: what may come when,
// how often, and how long it may take. It answers heartbeats itself and passes the rest on as
// requests. Controller thread. It knows nothing of tokens, channels or other sessions: the
// controller decides, and tells it what has happened.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "relay/base/time.h"
#include "relay/gateway/gateway_message.h"

namespace earshot::gateway {

// Version of a connection's request target: 4 to 8, 0 without one, nothing for any other.
std::optional<int> parse_gateway_version(std::string_view query_value, bool is_present);

class GatewaySession {
 public:
  // What one message or deadline led to: at most one of these, but a heartbeat has a reply and is a
  // request.
  struct Reaction {
    std::string reply;               // text to send, if not empty
    std::optional<CloseCode> close;  // close the connection with this
    std::optional<ClientMessage>
        request;           // Identify, Resume, SelectProtocol, Speaking or Heartbeat to act on
    bool is_dead = false;  // heartbeats stopped: drop the connection without a code
  };

  GatewaySession(std::optional<int> version, Time now);

  int version() const { return version_.value_or(8); }
  // Hello, or close 4020 for a version that is not spoken here.
  Reaction begin();
  Reaction on_text(Time now, std::string_view text);
  // Call when next_timeout() <= now.
  Reaction on_timeout(Time now);
  Time next_timeout() const;

  // The controller accepted Identify and is opening a slot; Select Protocol may come once Ready is
  // sent.
  void on_ready_sent(Time now);
  // Op 4 was sent, or the session was resumed.
  void on_established();

  Time last_heartbeat() const { return last_heartbeat_; }

 private:
  enum class Phase : std::uint8_t { fresh, identified, ready, established };

  Reaction on_message(ClientMessage message);
  bool takes_message(Time now);

  std::optional<int> version_;
  Phase phase_ = Phase::fresh;
  Time opened_at_;
  Time ready_at_;
  Time last_heartbeat_;
  Time rate_full_at_;
};

}  // namespace earshot::gateway
