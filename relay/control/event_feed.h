// Makes events for the application of what happens to sessions and channels (docs/openapi.json,
// /v1/events). Controller thread. It knows what an event says; who gets it is the EventHub's
// business.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "relay/control/event_hub.h"
#include "relay/control/membership.h"
#include "relay/control/moderation.h"
#include "relay/control/session_observer.h"
#include "relay/gateway/token.h"

namespace earshot::control {

class EventFeed final : public SessionObserver {
 public:
  // `hub` outlives it. `unix_ms`: milliseconds since 1970.
  EventFeed(EventHub& hub, std::function<std::int64_t()> unix_ms)
      : hub_(hub), unix_ms_(std::move(unix_ms)) {}

  void on_joined(const Session& session) override;
  void on_left(const Session& session, EndReason reason,
               std::optional<gateway::CloseCode> code) override;
  void on_speaking(const Session& session) override;

  void on_restrained(const ChannelKey& channel, const std::string& user_id,
                     const Restraint& restraint);
  void on_channel_updated(const ChannelKey& channel, nlohmann::json settings);
  void on_channel_closed(const ChannelKey& channel);
  // `join` holds a token: for those only who may make one.
  void on_voice_server_update(const gateway::Claims& claims, const nlohmann::json& join);
  void on_node_state(std::string_view state);

 private:
  void publish(std::string_view name, const std::string& server_id, nlohmann::json data,
               bool is_secret = false);

  EventHub& hub_;
  std::function<std::int64_t()> unix_ms_;
};

}  // namespace earshot::control
