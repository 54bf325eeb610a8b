#include "tools/client/signalling.h"

#include <algorithm>
#include <utility>

#include "relay/gateway/websocket.h"

namespace earshot::client {
namespace {

constexpr int heartbeats_unanswered_max = 3;
constexpr Duration heartbeat_interval_default = milliseconds(13'750);
constexpr Duration heartbeat_interval_min = milliseconds(100);
constexpr Duration reconnect_delay_first = milliseconds(50);
constexpr Duration reconnect_delay_max = seconds(5);
// Whoever is thrown out sooner than this after every join comes back ever more slowly.
constexpr Duration joined_time_stable = seconds(5);

std::string make_path(int version) {
  return version == version_none ? "/" : "/?v=" + std::to_string(version);
}

}  // namespace

AfterClose after_close(std::uint16_t code) {
  if (code == 4'015 || (code < 4'000 && code != gateway::close_code::normal)) {
    return AfterClose::resume;
  }
  // The session is over or unknown, or the relay wants a fresh key.
  if (code == 4'006 || code == 4'009) return AfterClose::identify;
  return AfterClose::stop;
}

std::string explain_close(std::uint16_t code) {
  switch (code) {
    case 1'000:
      return "the relay closed the session";
    case 1'001:
      return "the relay is going away";
    case 1'006:
      return "the connection broke";
    case 1'009:
      return "a message was too large for the relay";
    case 4'001:
      return "the relay does not know an opcode that we sent";
    case 4'002:
      return "the relay could not read a message of ours";
    case 4'003:
      return "the relay got a message before Identify";
    case 4'004:
      return "the relay refused the token (wrong key, expired, or for another cluster)";
    case 4'005:
      return "the relay got a second Identify";
    case 4'006:
      return "the relay does not know this session any more";
    case 4'009:
      return "the session is over, or needs a fresh key";
    case 4'012:
      return "the relay does not speak this transport protocol";
    case 4'014:
      return "disconnected: removed from the channel, or the same user joined elsewhere";
    case 4'015:
      return "the relay crashed";
    case 4'016:
      return "the relay does not support this encryption mode";
    case 4'020:
      return "the relay refused a message or the protocol version";
    case 4'021:
      return "too many messages or sessions for the relay (rate limit or capacity)";
    case 4'022:
      return "the channel was closed";
    default:
      return "closed with code " + std::to_string(code);
  }
}

Signalling::Signalling(uv_loop_s* loop, const gateway::TlsContext& tls, SignallingOptions options,
                       TokenClaims claims, SignallingEvents events)
    : loop_(loop),
      tls_(tls),
      options_(std::move(options)),
      claims_(std::move(claims)),
      events_(std::move(events)),
      step_timer_(loop, [this] { on_step_timeout(); }),
      heartbeat_timer_(loop, [this] { heartbeat(); }),
      reconnect_timer_(loop, [this] { connect(); }) {}

void Signalling::start() {
  connect();
}

std::optional<std::int64_t> Signalling::seq_ack() const {
  if (options_.version < version_seq_ack) return std::nullopt;
  return seq_;
}

void Signalling::connect() {
  state_ = State::connecting;
  SocketTarget target = options_.target;
  target.path = make_path(options_.version);
  SocketEvents events;
  events.on_open = [this] { on_open(); };
  events.on_text = [this](std::string_view text) { on_text(text); };
  events.on_binary = [this](std::string_view message) {
    // Binary messages begin with the sequence number they share with the others.
    if (message.size() < 3) return;
    seq_ = static_cast<unsigned char>(message[0]) << 8 | static_cast<unsigned char>(message[1]);
  };
  events.on_closed = [this](const SocketClosed& closed) { on_closed(closed); };
  socket_ = std::make_unique<SecureSocket>(loop_, tls_, std::move(target), options_.step_time_max,
                                           std::move(events));
}

void Signalling::expect(State state) {
  state_ = state;
  if (state == State::joined) {
    joined_at_ = monotonic_now();
    step_timer_.stop();
  } else {
    step_timer_.start(options_.step_time_max);
  }
}

void Signalling::on_open() {
  heartbeats_unanswered_ = 0;
  if (can_resume_) {
    socket_->send_text(make_resume(claims_, options_.token, seq_ack()));
    expect(State::resuming);
  } else {
    ++identifies_;
    seq_ = -1;
    socket_->send_text(make_identify(claims_, options_.token));
    expect(State::identifying);
  }
}

void Signalling::on_text(std::string_view text) {
  if (events_.on_message) events_.on_message(text);
  const auto message = parse_message(text);
  if (!message) return;
  if (message->seq) seq_ = *message->seq;
  handle(*message);
}

void Signalling::handle(const Message& message) {
  if (const auto* hello = std::get_if<HelloMessage>(&message.data)) return on_hello(*hello);
  if (const auto* ready = std::get_if<ReadyMessage>(&message.data)) return on_ready(*ready);
  if (const auto* description = std::get_if<SessionDescription>(&message.data)) {
    return on_description(*description);
  }
  if (std::get_if<ResumedMessage>(&message.data) != nullptr) return on_resumed();
  if (std::get_if<HeartbeatAck>(&message.data) != nullptr) return on_heartbeat_ack();
  if (const auto* speaking = std::get_if<SpeakingMessage>(&message.data)) {
    if (events_.on_speaking) events_.on_speaking(*speaking);
  } else if (const auto* connected = std::get_if<ClientsConnect>(&message.data)) {
    for (const auto& user_id : connected->user_ids) {
      if (events_.on_client_connect) events_.on_client_connect(user_id);
    }
  } else if (const auto* one = std::get_if<ClientConnect>(&message.data)) {
    if (events_.on_client_connect) events_.on_client_connect(one->user_id);
    if (one->audio_ssrc.value != 0 && events_.on_speaking) {
      events_.on_speaking({one->user_id, one->audio_ssrc, false});
    }
  } else if (const auto* gone = std::get_if<ClientDisconnect>(&message.data)) {
    if (events_.on_client_disconnect) events_.on_client_disconnect(gone->user_id);
  }
}

void Signalling::on_hello(const HelloMessage& hello) {
  heartbeat_interval_ = hello.heartbeat_interval >= heartbeat_interval_min
                            ? hello.heartbeat_interval
                            : heartbeat_interval_default;
  heartbeat_timer_.start(heartbeat_interval_);
}

void Signalling::on_heartbeat_ack() {
  // With more than one under way nobody knows whose answer this is.
  const bool is_only_one = heartbeats_unanswered_ == 1;
  heartbeats_unanswered_ = 0;
  if (!is_only_one) return;
  round_trip_ = monotonic_now() - heartbeat_sent_;
  if (unconfirmed_ && unconfirmed_->told_at <= heartbeat_sent_) unconfirmed_.reset();
}

void Signalling::on_ready(const ReadyMessage& ready) {
  if (state_ != State::identifying) return;
  // The address we are seen at is the owner's business now; discovery has a time limit of its own.
  expect(State::selecting);
  if (events_.on_ready) events_.on_ready(ready);
}

void Signalling::select_protocol(std::string_view address, std::uint16_t port,
                                 std::string_view mode) {
  send_text(make_select_protocol(address, port, mode));
}

void Signalling::on_description(const SessionDescription& description) {
  if (state_ == State::selecting) {
    was_joined_ = can_resume_ = true;
    unconfirmed_.reset();
    expect(State::joined);
  }
  if (events_.on_session_description) events_.on_session_description(description);
}

void Signalling::on_resumed() {
  if (state_ != State::resuming) return;
  ++resumes_;
  expect(State::joined);
  if (unconfirmed_) set_speaking(unconfirmed_->ssrc, unconfirmed_->is_speaking);
  if (events_.on_resumed) events_.on_resumed();
}

void Signalling::set_speaking(Ssrc ssrc, bool is_speaking) {
  if (!can_resume_) return;
  unconfirmed_ = {ssrc, is_speaking, monotonic_now()};
  if (state_ == State::joined) send_text(make_speaking(ssrc, is_speaking));
}

void Signalling::heartbeat() {
  if (!socket_ || !socket_->is_open()) return;
  if (heartbeats_unanswered_ >= heartbeats_unanswered_max) return cut();
  heartbeat_timer_.start(heartbeat_interval_);
  if (!sends_heartbeats_) return;
  ++heartbeats_unanswered_;
  heartbeat_sent_ = monotonic_now();
  socket_->send_text(make_heartbeat(heartbeat_sent_.ns / 1'000'000, seq_ack()));
}

void Signalling::on_step_timeout() {
  if (state_ == State::leaving) return end({true, gateway::close_code::abnormal, "left"});
  const SignallingEnd reason{false, gateway::close_code::abnormal,
                             "the relay did not answer in time"};
  socket_->cut();
  if (was_joined_) return interrupted(AfterClose::resume, reason);
  end(reason);
}

void Signalling::on_closed(const SocketClosed& closed) {
  if (state_ == State::leaving) return end({true, closed.code, "left"});
  SignallingEnd reason{false, closed.code, explain_close(closed.code)};
  if (closed.code == gateway::close_code::abnormal) reason.text = closed.reason;
  if (!closed.reason.empty() && closed.reason != reason.text) {
    reason.text += " (" + closed.reason + ")";
  }
  const AfterClose next = after_close(closed.code);
  // Before the first join there is nothing to come back to.
  if (next == AfterClose::stop || !was_joined_) return end(reason);
  interrupted(next, reason);
}

void Signalling::interrupted(AfterClose next, const SignallingEnd& reason) {
  heartbeat_timer_.stop();
  step_timer_.stop();
  const Time now = monotonic_now();
  if (state_ == State::joined) {
    interrupted_at_ = now;
    if (now - joined_at_ >= joined_time_stable) attempts_ = 0;
  }
  if (now - interrupted_at_ >= options_.reconnect_time_max) {
    return end({false, reason.code, "could not come back: " + reason.text});
  }
  if (next == AfterClose::identify) can_resume_ = false;
  // A session that had no key yet cannot be resumed.
  if (!can_resume_) next = AfterClose::identify;
  state_ = State::waiting;
  const Duration delay = reconnect_delay_first * (std::int64_t{1} << std::min(attempts_, 10));
  reconnect_timer_.start(std::min(delay, reconnect_delay_max));
  ++attempts_;
  if (events_.on_interrupted) events_.on_interrupted(next, reason);
}

void Signalling::leave() {
  if (state_ == State::ended || state_ == State::leaving) return;
  reconnect_timer_.stop();
  heartbeat_timer_.stop();
  const bool has_socket = socket_ && socket_->is_open();
  expect(State::leaving);
  if (has_socket) return socket_->close(gateway::close_code::normal, "");
  if (socket_) socket_->cut();
  // From the loop, as every other event.
  step_timer_.start({});
}

void Signalling::end(const SignallingEnd& reason) {
  if (state_ == State::ended) return;
  state_ = State::ended;
  step_timer_.stop();
  heartbeat_timer_.stop();
  reconnect_timer_.stop();
  if (socket_) socket_->cut();
  if (events_.on_ended) events_.on_ended(reason);
}

void Signalling::cut() {
  if (!socket_ || state_ == State::ended || state_ == State::leaving) return;
  socket_->cut();
  const SignallingEnd reason{false, gateway::close_code::abnormal, explain_close(1'006)};
  if (!was_joined_) return end(reason);
  interrupted(AfterClose::resume, reason);
}

void Signalling::vanish() {
  if (socket_) socket_->cut();
  state_ = State::ended;
  step_timer_.stop();
  heartbeat_timer_.stop();
  reconnect_timer_.stop();
}

void Signalling::send_text(std::string_view message) {
  if (socket_) socket_->send_text(message);
}

void Signalling::send_binary(std::string_view message) {
  if (socket_) socket_->send_binary(message);
}

}  // namespace earshot::client
