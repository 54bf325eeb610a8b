// One session under load: Identify to Session Description, heartbeats that measure the relay, and
// coming back after a cut. One thread. What many of them do together is the Crowd's business, and
// so is their media.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "crypto/keys.h"
#include "relay/base/ids.h"
#include "relay/gateway/tls.h"
#include "relay/gateway/token.h"
#include "tools/client/messages.h"
#include "tools/load/board.h"
#include "tools/load/gateway_socket.h"
#include "tools/load/poller.h"

namespace earshot::load {

class LoadSession;
class MediaPort;

// What all sessions of a process share.
struct SessionShared {
  Poller& poller;
  const Target& target;
  const gateway::TlsContext& tls;
  std::function<std::string(const gateway::Claims&)> sign;
  Duration heartbeat_interval;  // zero: as the relay says
  bool asks_for_address = true;
  Board& board;
  Seat& seat;
  // Live again after begin() or resume(); live no more, without our doing.
  std::function<void(LoadSession&)> on_live;
  std::function<void(LoadSession&)> on_lost;
  // Ready names an SSRC and the media port; the answer is the port to use.
  std::function<MediaPort*(LoadSession&, const Endpoint& media)> on_ready;

  PhaseResults& results() { return seat.phases[board.phase.load(std::memory_order_relaxed)]; }
};

class LoadSession final : GatewaySocketEvents, Timed {
 public:
  LoadSession(SessionShared& shared, gateway::Claims claims);

  // A new Identify, with a session id of its own.
  void begin();
  // Op 7 if the relay may still know the session, else begin().
  void resume();
  // Resets the connection; the session waits to be resumed.
  void cut();
  // As somebody else from the next begin() on.
  void rename(const std::string& user_id);
  void leave();
  // From the media port.
  void on_discovered(const Endpoint& seen);

  bool is_live() const { return state_ == State::live; }
  Ssrc ssrc() const { return ssrc_; }
  std::span<const std::uint8_t, crypto::key_size> key() const { return key_; }
  const gateway::Claims& claims() const { return claims_; }
  MediaPort* port() const { return port_; }
  void set_port(MediaPort& port) { port_ = &port; }
  void tell_speaking();

 private:
  enum class State : std::uint8_t { idle, identifying, discovering, selecting, live, resuming };
  enum class Alarm : std::uint8_t { step, heartbeat, retry, discovery };

  void on_open() override;
  void on_text(std::string_view text) override;
  void on_closed(std::uint16_t code) override;
  void on_time(std::uint64_t token) override;
  void set_alarm(Alarm alarm, Duration delay);
  void connect();
  void retry();
  void on_message(const client::Message& message);
  void select();
  void ask_for_address();
  void on_live();
  void heartbeat();
  void on_heartbeat_ack(std::string_view text);
  client::TokenClaims ids() const;

  SessionShared& shared_;
  gateway::Claims claims_;
  GatewaySocket socket_;
  MediaPort* port_ = nullptr;
  State state_ = State::idle;
  bool wants_resume_ = false;
  bool was_live_ = false;
  bool is_anew_ = true;  // not a repetition of a failed attempt
  std::uint32_t lives_ = 0;
  int attempts_ = 0;  // in a row that failed
  std::array<std::uint32_t, 4> alarm_serials_{};
  std::int64_t seq_ = -1;
  Ssrc ssrc_;
  Endpoint media_;
  Endpoint seen_;
  std::string mode_;
  std::array<std::uint8_t, crypto::key_size> key_{};
  Duration heartbeat_interval_;
  Time began_at_;
};

}  // namespace earshot::load
