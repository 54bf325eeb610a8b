// What the HTTP API shows of channels, participants and joins, as JSON (docs/openapi.json). Any
// thread; pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "relay/control/channel_settings.h"
#include "relay/control/membership.h"
#include "relay/control/moderation.h"
#include "relay/control/recordings.h"
#include "relay/control/session.h"
#include "relay/core/slot_stats.h"

namespace earshot::control {

nlohmann::json settings_view(const ChannelSettings& settings);
nlohmann::json channel_view(const Membership::Listed& channel, const ChannelSettings& settings);
nlohmann::json participant_view(const Session& session, const SlotStats& stats,
                                const Restraint& restraint, Time now);
// A join in the shape of a voice server update.
nlohmann::json recording_view(const RecordingDescription& recording);
nlohmann::json join_view(const gateway::Claims& claims, const std::string& token,
                         const std::string& endpoint);

// Where a list goes on: opaque to clients, safe in a query.
std::string channel_cursor(const ChannelKey& key);
std::optional<ChannelKey> parse_channel_cursor(std::string_view cursor);
std::string user_cursor(const std::string& user_id);
std::optional<std::string> parse_user_cursor(std::string_view cursor);

}  // namespace earshot::control
