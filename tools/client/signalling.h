// The signalling session of one client: Identify to the end, heartbeats, and coming back after a
// break. Loop thread only. Reports what the relay says; media and audio are not its business.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "relay/base/result.h"
#include "relay/base/time.h"
#include "tools/client/claims.h"
#include "tools/client/event_loop.h"
#include "tools/client/messages.h"
#include "tools/client/secure_socket.h"

namespace earshot::client {

struct SignallingOptions {
  SocketTarget target;
  int version = 8;  // 4 to 8, or version_none
  std::string token;
  // From the start of a connection to the open WebSocket, and for each answer the relay owes.
  Duration step_time_max = seconds(10);
  // Once joined: how long to try to come back. Zero: never.
  Duration reconnect_time_max = seconds(60);
};

// What a client does after its connection ended.
enum class AfterClose : std::uint8_t { resume, identify, stop };
AfterClose after_close(std::uint16_t code);
// One sentence for a person.
std::string explain_close(std::uint16_t code);

struct SignallingEnd {
  bool is_ok = false;      // we left of our own accord
  std::uint16_t code = 0;  // the relay's close code, 1006 without one
  std::string text;        // why, for a person
};

struct SignallingEvents {
  std::function<void(const ReadyMessage&)> on_ready;
  std::function<void(const SessionDescription&)> on_session_description;
  std::function<void()> on_resumed;
  std::function<void(const SpeakingMessage&)> on_speaking;
  std::function<void(const std::string& user_id)> on_client_connect;
  std::function<void(const std::string& user_id)> on_client_disconnect;
  // The connection is gone; a resume or a new Identify follows.
  std::function<void(AfterClose, const SignallingEnd&)> on_interrupted;
  // The last event.
  std::function<void(const SignallingEnd&)> on_ended;
  // Every text message as it came, before it is acted on.
  std::function<void(std::string_view)> on_message;
};

class Signalling {
 public:
  Signalling(uv_loop_s* loop, const gateway::TlsContext& tls, SignallingOptions options,
             TokenClaims claims, SignallingEvents events);
  Signalling(const Signalling&) = delete;
  Signalling& operator=(const Signalling&) = delete;

  void start();
  void select_protocol(std::string_view address, std::uint16_t port, std::string_view mode);
  // Told at once, or after a resume; again after a resume if the relay may not have got it.
  void set_speaking(Ssrc ssrc, bool is_speaking);
  // Closes with 1000. on_ended follows.
  void leave();

  // Round trip of the last heartbeat; zero before the first.
  Duration heartbeat_round_trip() const { return round_trip_; }
  std::uint64_t resumes() const { return resumes_; }
  std::uint64_t identifies() const { return identifies_; }
  bool is_ended() const { return state_ == State::ended; }

  // Test hooks: resets the TCP connection and comes back as after any break; the same without
  // coming back (the relay sees a client that vanished); any message.
  void cut();
  void vanish();
  void send_text(std::string_view message);
  void send_binary(std::string_view message);
  void set_heartbeats(bool enabled) { sends_heartbeats_ = enabled; }

 private:
  enum class State : std::uint8_t {
    idle,
    connecting,
    identifying,
    selecting,
    joined,
    resuming,
    waiting,
    leaving,
    ended
  };

  void connect();
  void on_open();
  void on_text(std::string_view text);
  void on_closed(const SocketClosed& closed);
  void handle(const Message& message);
  void on_hello(const HelloMessage& hello);
  void on_ready(const ReadyMessage& ready);
  void on_description(const SessionDescription& description);
  void on_resumed();
  void interrupted(AfterClose next, const SignallingEnd& end);
  void end(const SignallingEnd& end);
  void heartbeat();
  void on_step_timeout();
  void expect(State state);
  std::optional<std::int64_t> seq_ack() const;
  void on_heartbeat_ack();

  uv_loop_s* loop_;
  const gateway::TlsContext& tls_;
  SignallingOptions options_;
  TokenClaims claims_;
  SignallingEvents events_;
  std::unique_ptr<SecureSocket> socket_;
  State state_ = State::idle;
  bool was_joined_ = false;  // at least once: from then on a break is not the end
  bool can_resume_ = false;  // this session reached op 4
  std::int64_t seq_ = -1;
  Timer step_timer_;
  Timer heartbeat_timer_;
  Timer reconnect_timer_;
  Duration heartbeat_interval_;
  bool sends_heartbeats_ = true;
  int heartbeats_unanswered_ = 0;
  Time heartbeat_sent_;
  Duration round_trip_;
  struct SpeakingState {
    Ssrc ssrc;
    bool is_speaking = false;
    Time told_at;
  };
  std::optional<SpeakingState> unconfirmed_;  // no answer of the relay's proves that it arrived
  Time interrupted_at_;
  Time joined_at_;
  int attempts_ = 0;  // to come back, since the session was last up for a while
  std::uint64_t resumes_ = 0;
  std::uint64_t identifies_ = 0;
};

}  // namespace earshot::client
