#include "relay/control/event_feed.h"

#include "relay/control/session.h"

namespace earshot::control {
namespace {

using Json = nlohmann::json;

Json about(const ChannelKey& channel) {
  return {{"server_id", channel.server_id}, {"channel_id", channel.channel_id}};
}

Json about(const ChannelKey& channel, const std::string& user_id) {
  Json data = about(channel);
  data["user_id"] = user_id;
  return data;
}

Json about(const Session& session) {
  return about(session.channel(), session.claims.user_id);
}

}  // namespace

void EventFeed::publish(std::string_view name, const std::string& server_id, Json data,
                        bool is_secret) {
  data["at"] = unix_ms_();
  hub_.publish({std::string(name), server_id, data.dump(), is_secret});
}

void EventFeed::on_joined(const Session& session) {
  Json data = about(session);
  data["session_id"] = session.claims.session_id;
  data["ssrc"] = session.ssrc.value;
  publish("joined", session.claims.server_id, std::move(data));
}

void EventFeed::on_left(const Session& session, EndReason reason,
                        std::optional<gateway::CloseCode> code) {
  Json data = about(session);
  data["session_id"] = session.claims.session_id;
  data["reason"] = name(reason);
  data["code"] = code ? Json(static_cast<int>(*code)) : Json(nullptr);
  publish("left", session.claims.server_id, std::move(data));
  if (reason != EndReason::moved) return;
  Json moved = about(session);
  moved["from_channel_id"] = session.claims.channel_id;
  moved["to_channel_id"] = session.moves_to;
  publish("moved", session.claims.server_id, std::move(moved));
}

void EventFeed::on_speaking(const Session& session) {
  Json data = about(session);
  data["ssrc"] = session.ssrc.value;
  data["speaking"] = session.speaking_flags != 0;
  data["flags"] = session.speaking_flags;
  publish("speaking", session.claims.server_id, std::move(data));
}

void EventFeed::on_restrained(const ChannelKey& channel, const std::string& user_id,
                              const Restraint& restraint) {
  Json data = about(channel, user_id);
  data["mute"] = restraint.is_muted;
  data["deafen"] = restraint.is_deafened;
  publish("muted", channel.server_id, std::move(data));
}

void EventFeed::on_channel_updated(const ChannelKey& channel, Json settings) {
  Json data = about(channel);
  data["settings"] = std::move(settings);
  publish("channel_updated", channel.server_id, std::move(data));
}

void EventFeed::on_channel_closed(const ChannelKey& channel) {
  publish("channel_closed", channel.server_id, about(channel));
}

void EventFeed::on_voice_server_update(const gateway::Claims& claims, const Json& join) {
  publish("voice_server_update", claims.server_id, join, true);
}

void EventFeed::on_node_state(std::string_view state) {
  publish("node", "", {{"state", state}});
}

}  // namespace earshot::control
