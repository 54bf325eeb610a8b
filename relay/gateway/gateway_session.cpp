#include "relay/gateway/gateway_session.h"

#include <algorithm>

#include "relay/base/limits.h"

namespace earshot::gateway {
namespace {

GatewaySession::Reaction closing(CloseCode code) {
  return {{}, code, std::nullopt, false};
}

}  // namespace

std::optional<int> parse_gateway_version(std::string_view value, bool is_present) {
  if (!is_present) return 0;
  if (value.size() != 1 || value[0] < '4' || value[0] > '8') return std::nullopt;
  return value[0] - '0';
}

GatewaySession::GatewaySession(std::optional<int> version, Time now)
    : version_(version), opened_at_(now), last_heartbeat_(now), rate_full_at_(now) {}

GatewaySession::Reaction GatewaySession::begin() {
  if (!version_) return closing(CloseCode::bad_request);
  return {hello_message(*version_, limits::heartbeat_interval), std::nullopt, std::nullopt, false};
}

// A second's worth of messages may come at once.
bool GatewaySession::takes_message(Time now) {
  const Duration interval = seconds(1) / limits::messages_per_second_max;
  const Time start = std::max(rate_full_at_, now);
  if ((start - now) + interval > seconds(1)) return false;
  rate_full_at_ = start + interval;
  return true;
}

GatewaySession::Reaction GatewaySession::on_text(Time now, std::string_view text) {
  if (!version_) return closing(CloseCode::bad_request);
  if (!takes_message(now)) return closing(CloseCode::rate_limited);
  ParsedMessage parsed = parse_client_message(text);
  if (const auto* code = std::get_if<CloseCode>(&parsed)) return closing(*code);
  auto& message = std::get<ClientMessage>(parsed);
  if (std::holds_alternative<Heartbeat>(message)) last_heartbeat_ = now;
  return on_message(std::move(message));
}

GatewaySession::Reaction GatewaySession::on_message(ClientMessage message) {
  const bool begins =
      std::holds_alternative<Identify>(message) || std::holds_alternative<Resume>(message);
  if (phase_ == Phase::fresh) {
    if (!begins) return closing(CloseCode::not_authenticated);
    phase_ = Phase::identified;
    return {{}, std::nullopt, std::move(message), false};
  }
  if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    return {heartbeat_ack_message(*heartbeat), std::nullopt, std::move(message), false};
  }
  if (begins) return closing(CloseCode::already_authenticated);
  if (std::holds_alternative<Ignored>(message)) return {};
  // Before Ready a client knows neither address nor modes.
  if (phase_ == Phase::identified && std::holds_alternative<SelectProtocol>(message)) {
    return closing(CloseCode::bad_request);
  }
  return {{}, std::nullopt, std::move(message), false};
}

void GatewaySession::on_ready_sent(Time now) {
  phase_ = Phase::ready;
  ready_at_ = now;
}

void GatewaySession::on_established() {
  phase_ = Phase::established;
}

Time GatewaySession::next_timeout() const {
  const Time silent = last_heartbeat_ + limits::heartbeat_interval * limits::heartbeats_missed_max;
  switch (phase_) {
    case Phase::fresh:
      return opened_at_ + limits::identify_time_max;
    case Phase::ready:
      return std::min(ready_at_ + limits::select_protocol_time_max,
                      std::max(silent, ready_at_ + seconds(35)));
    default:
      return silent;
  }
}

GatewaySession::Reaction GatewaySession::on_timeout(Time now) {
  if (now < next_timeout()) return {};
  if (phase_ == Phase::fresh ||
      (phase_ == Phase::ready && now >= ready_at_ + limits::select_protocol_time_max)) {
    return closing(CloseCode::session_timeout);
  }
  return {{}, std::nullopt, std::nullopt, true};
}

}  // namespace earshot::gateway
