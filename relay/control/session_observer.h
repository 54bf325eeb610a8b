// What becomes of sessions, told as it happens: for those who publish it. Controller thread. The
// calls come from the midst of the sessions' work: an observer must not call back.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "relay/gateway/gateway_session.h"

namespace earshot::control {

struct Session;

enum class EndReason : std::uint8_t {
  disconnected,    // the client closed, or its connection broke before it had a key
  timeout,         // not resumed in time, or its client fell silent
  taken_over,      // the same user identified anew
  kicked,          // by the application
  moved,           // to another channel, by the application
  channel_closed,  // by the application
  fresh_key,       // it was told to identify anew
  protocol_error,  // it broke the protocol; or the node was full, which nobody hears of
  stopping,        // the node stops
};

constexpr std::string_view name(EndReason reason) {
  switch (reason) {
    case EndReason::disconnected:
      return "disconnected";
    case EndReason::timeout:
      return "timeout";
    case EndReason::taken_over:
      return "taken_over";
    case EndReason::kicked:
      return "kicked";
    case EndReason::moved:
      return "moved";
    case EndReason::channel_closed:
      return "channel_closed";
    case EndReason::fresh_key:
      return "fresh_key";
    case EndReason::protocol_error:
      return "protocol_error";
    case EndReason::stopping:
      return "stopping";
  }
  return {};
}

class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  // It is in its channel: Session Description (op 4) is out.
  virtual void on_joined(const Session&) {}
  // Only after on_joined. `code`: what its connection was closed with, if it had one.
  virtual void on_left(const Session&, EndReason, std::optional<gateway::CloseCode>) {}
  // Its speaking flags have changed.
  virtual void on_speaking(const Session&) {}
};

}  // namespace earshot::control
