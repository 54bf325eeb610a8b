#include "tools/load/load_session.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <variant>

#include "relay/wire/discovery.h"
#include "tools/load/media_port.h"

namespace earshot::load {
namespace {

// For each answer the relay owes; the last of a crowd waits long for its turn.
constexpr Duration step_time_max = seconds(30);
// 1 s, then twice as long each time, and everybody a little else: as clients back off.
constexpr Duration retry_delay = milliseconds(1'000);
constexpr int retry_doublings_max = 4;
constexpr Duration discovery_retry = milliseconds(500);
constexpr std::uint16_t session_invalid = 4006;
// Heartbeats carry when, and in which phase, they were sent.
constexpr std::int64_t phases_in_nonce = 100;
static_assert(phases_max <= phases_in_nonce);

// The number behind `name` in a message that the relay has printed; -1 if there is none.
std::int64_t number_after(std::string_view text, std::string_view name) {
  const auto at = text.rfind(name);
  if (at == std::string_view::npos) return -1;
  std::int64_t value = -1;
  std::from_chars(text.data() + at + name.size(), text.data() + text.size(), value);
  return value;
}

// Of the one list in an op 11.
std::uint64_t count_ids(std::string_view text) {
  const auto begin = text.find('[');
  const auto end = text.rfind(']');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin + 2) return 0;
  const std::string_view list = text.substr(begin, end - begin);
  return 1 + static_cast<std::uint64_t>(std::count(list.begin(), list.end(), ','));
}

}  // namespace

LoadSession::LoadSession(SessionShared& shared, gateway::Claims claims)
    : shared_(shared),
      claims_(std::move(claims)),
      socket_(shared.poller, shared.target, shared.tls, *this) {}

client::TokenClaims LoadSession::ids() const {
  return {claims_.user_id, claims_.server_id, claims_.channel_id, claims_.session_id};
}

// --- Coming and going ---------------------------------------------------------------------------

void LoadSession::begin() {
  wants_resume_ = false;
  is_anew_ = true;
  connect();
}

void LoadSession::resume() {
  wants_resume_ = was_live_;
  is_anew_ = true;
  connect();
}

void LoadSession::cut() {
  if (is_live()) shared_.seat.live.fetch_sub(1, std::memory_order_relaxed);
  socket_.reset();
  state_ = State::idle;
  for (auto& serial : alarm_serials_) ++serial;
}

void LoadSession::rename(const std::string& user_id) {
  claims_.user_id = claims_.session_id = user_id;
  was_live_ = false;
}

void LoadSession::leave() {
  if (!socket_.is_connected()) return;
  socket_.close(1000);
  cut();
}

void LoadSession::connect() {
  if (is_live()) shared_.seat.live.fetch_sub(1, std::memory_order_relaxed);
  if (std::exchange(is_anew_, false)) began_at_ = monotonic_now();
  state_ = wants_resume_ ? State::resuming : State::identifying;
  set_alarm(Alarm::step, step_time_max);
  if (!socket_.connect()) retry();
}

void LoadSession::retry() {
  ++shared_.results().retries;
  socket_.reset();
  state_ = State::idle;
  ++alarm_serials_[static_cast<std::size_t>(Alarm::step)];
  const std::uint64_t scatter = hash(Endpoint{{}, 0}, reinterpret_cast<std::uintptr_t>(this)) % 512;
  set_alarm(Alarm::retry, retry_delay *
                              (std::int64_t{1} << std::min(attempts_++, retry_doublings_max)) *
                              static_cast<std::int64_t>(512 + scatter) / std::int64_t{1'024});
}

void LoadSession::set_alarm(Alarm alarm, Duration delay) {
  const auto index = static_cast<std::size_t>(alarm);
  const std::uint64_t serial = ++alarm_serials_[index];
  shared_.poller.call_at(monotonic_now() + delay, *this, serial << 8 | index);
}

void LoadSession::on_time(std::uint64_t token) {
  const std::size_t index = token & 0xFF;
  if (alarm_serials_[index] != token >> 8) return;
  switch (static_cast<Alarm>(index)) {
    case Alarm::step:
      return retry();
    case Alarm::heartbeat:
      return heartbeat();
    case Alarm::retry:
      return connect();
    case Alarm::discovery:
      if (state_ == State::discovering) ask_for_address();
      return;
  }
}

void LoadSession::on_open() {
  if (wants_resume_) {
    socket_.send_text(client::make_resume(ids(), shared_.sign(claims_), seq_));
    return;
  }
  // Who begins anew is somebody else to the relay.
  if (was_live_) claims_.session_id = claims_.user_id + "-" + std::to_string(lives_);
  seq_ = -1;
  socket_.send_text(client::make_identify(ids(), shared_.sign(claims_)));
}

void LoadSession::on_closed(std::uint16_t code) {
  shared_.seat.last_close_code.store(code, std::memory_order_relaxed);
  const bool was_live = is_live();
  if (was_live) {
    shared_.seat.live.fetch_sub(1, std::memory_order_relaxed);
    shared_.seat.lost.fetch_add(1, std::memory_order_relaxed);
  }
  for (auto& serial : alarm_serials_) ++serial;
  state_ = State::idle;
  if (was_live) return shared_.on_lost(*this);
  if (wants_resume_ && code == session_invalid) {
    shared_.seat.resumes_refused.fetch_add(1, std::memory_order_relaxed);
    wants_resume_ = false;
    return connect();
  }
  retry();
}

// --- Messages -----------------------------------------------------------------------------------

// Acknowledgements come by the ten thousand: they are read without a parser.
void LoadSession::on_text(std::string_view text) {
  const std::int64_t op = number_after(text, "\"op\":");
  if (text.starts_with("{\"op\":6,")) return on_heartbeat_ack(text);
  const std::int64_t seq = number_after(text, ",\"seq\":");
  if (seq >= 0) seq_ = seq;
  if (op == 11) shared_.results().introductions += count_ids(text);
  const bool concerns_us = op == 2 || op == 4 || op == 8 || op == 9;
  if (!concerns_us) return;
  if (const auto message = client::parse_message(text)) on_message(*message);
}

void LoadSession::on_message(const client::Message& message) {
  if (const auto* hello = std::get_if<client::HelloMessage>(&message.data)) {
    heartbeat_interval_ = shared_.heartbeat_interval > Duration{} ? shared_.heartbeat_interval
                                                                  : hello->heartbeat_interval;
  } else if (const auto* ready = std::get_if<client::ReadyMessage>(&message.data)) {
    const auto ip = IpAddress::parse(ready->ip);
    if (state_ != State::identifying || !ip || ready->modes.empty()) return;
    ssrc_ = ready->ssrc;
    mode_ = ready->modes.front();
    media_ = {*ip, ready->port};
    port_ = shared_.on_ready(*this, media_);
    if (port_ == nullptr) return retry();
    set_alarm(Alarm::step, step_time_max);
    if (shared_.asks_for_address) {
      state_ = State::discovering;
      ask_for_address();
    } else {
      seen_ = port_->local();
      select();
    }
  } else if (const auto* description = std::get_if<client::SessionDescription>(&message.data)) {
    key_ = description->key;
    if (state_ == State::selecting) on_live();
  } else if (std::holds_alternative<client::ResumedMessage>(message.data)) {
    if (state_ == State::resuming) on_live();
  }
}

void LoadSession::ask_for_address() {
  const auto request = port_->queue(wire::discovery_size);
  wire::write_discovery_request(request.first<wire::discovery_size>(), ssrc_);
  port_->flush();
  set_alarm(Alarm::discovery, discovery_retry);
}

void LoadSession::on_discovered(const Endpoint& seen) {
  if (state_ != State::discovering) return;
  seen_ = seen;
  select();
}

void LoadSession::select() {
  state_ = State::selecting;
  socket_.send_text(client::make_select_protocol(seen_.ip.to_string(), seen_.port, mode_));
}

void LoadSession::on_live() {
  state_ = State::live;
  was_live_ = true;
  attempts_ = 0;
  ++lives_;
  ++alarm_serials_[static_cast<std::size_t>(Alarm::step)];
  shared_.results().join.record(monotonic_now() - began_at_);
  shared_.seat.live.fetch_add(1, std::memory_order_relaxed);
  // Everybody's first heartbeat at another time.
  const std::uint64_t scatter = hash(Endpoint{{}, 0}, ssrc_.value) % 1'000;
  set_alarm(Alarm::heartbeat,
            heartbeat_interval_ * static_cast<std::int64_t>(scatter) / std::int64_t{1'000});
  shared_.on_live(*this);
}

void LoadSession::tell_speaking() {
  socket_.send_text(client::make_speaking(ssrc_, true));
}

// At its time whatever has become of the one before, so that a stall is seen in full.
void LoadSession::heartbeat() {
  if (!is_live()) return;
  const std::int64_t phase = shared_.board.phase.load(std::memory_order_relaxed);
  const std::int64_t nonce = monotonic_now().ns / 1'000 * phases_in_nonce + phase;
  socket_.send_text(client::make_heartbeat(nonce, seq_));
  ++shared_.seat.phases[static_cast<std::size_t>(phase)].heartbeats_sent;
  set_alarm(Alarm::heartbeat, heartbeat_interval_);
}

void LoadSession::on_heartbeat_ack(std::string_view text) {
  const std::int64_t nonce = number_after(text, "\"t\":");
  if (nonce < 0) return;
  const auto phase = static_cast<std::size_t>(nonce % phases_in_nonce);
  if (phase >= phases_max) return;
  const Time sent{nonce / phases_in_nonce * 1'000};
  shared_.seat.phases[phase].heartbeat.record(monotonic_now() - sent);
}

}  // namespace earshot::load
