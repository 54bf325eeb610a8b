#include "relay/control/api_views.h"

#include "crypto/signature.h"

namespace earshot::control {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t ticks_per_ms = 48;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string encode(std::string_view text) {
  return crypto::base64url_encode(
      {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::optional<std::string> decode(std::string_view text) {
  const auto bytes = crypto::base64url_decode(text);
  if (!bytes) return std::nullopt;
  return std::string(bytes->begin(), bytes->end());
}

std::string_view state_of(const Session& session) {
  if (session.phase != Session::Phase::live) return "joining";
  return session.client != nullptr ? "live" : "reconnecting";
}

Json address_family(const Session& session) {
  if (session.media_ip.is_unspecified()) return nullptr;
  return session.media_ip.is_v4() ? "ipv4" : "ipv6";
}

Json round_trip_ms(const Session& session) {
  if (session.client == nullptr) return nullptr;
  const auto round_trip = session.client->connection.round_trip();
  return round_trip ? Json(static_cast<double>(round_trip->ns / 1'000) / 1'000.0) : Json(nullptr);
}

Json grants_view(const gateway::TokenGrants& grants) {
  return {{"speak", grants.speak},
          {"listen", grants.listen},
          {"priority", grants.priority},
          {"require_e2ee", grants.require_e2ee},
          {"max_bitrate", or_null(grants.max_bitrate)},
          {"late_ms_max", or_null(grants.late_ms_max)}};
}

Json statistics_view(const SlotStats& stats) {
  return {{"packets_received", get(stats.packets_received)},
          {"bytes_received", get(stats.bytes_received)},
          {"packets_forwarded", get(stats.packets_forwarded)},
          {"packets_sent", get(stats.packets_sent)},
          {"packets_lost", get(stats.lost)},
          {"packets_duplicate", get(stats.duplicates)},
          {"packets_late", get(stats.late)},
          {"packets_stale", get(stats.stale)},
          {"packets_over_rate", get(stats.rate)},
          {"packets_over_speakers", get(stats.speakers)},
          {"packets_muted", get(stats.muted)},
          {"jitter_ms", static_cast<double>(get(stats.jitter_ticks)) / ticks_per_ms}};
}

}  // namespace

Json settings_view(const ChannelSettings& settings) {
  return {{"late_ms_max", or_null(settings.late_ms_max)},
          {"speakers_max", or_null(settings.speakers_max)},
          {"participants_max", or_null(settings.participants_max)}};
}

Json channel_view(const Membership::Listed& channel, const ChannelSettings& settings) {
  return {{"server_id", channel.key.server_id},
          {"channel_id", channel.key.channel_id},
          {"participants_count", channel.participants_count},
          {"settings", settings_view(settings)}};
}

Json participant_view(const Session& session, const SlotStats& stats, const Restraint& restraint,
                      Time now) {
  const bool has_mode = session.key.has_value();
  // Without a slot of its own there is nothing that the statistics could be about.
  static const SlotStats nothing;
  const bool has_slot = session.member != 0;
  return {{"user_id", session.claims.user_id},
          {"server_id", session.claims.server_id},
          {"channel_id", session.claims.channel_id},
          {"session_id", session.claims.session_id},
          {"ssrc", has_slot ? Json(session.ssrc.value) : Json(nullptr)},
          {"state", state_of(session)},
          {"mute", restraint.is_muted},
          {"deafen", restraint.is_deafened},
          {"speaking", session.speaking_flags != 0},
          {"mode", has_mode ? Json(crypto::name(session.mode)) : Json(nullptr)},
          {"address_family", address_family(session)},
          {"uptime_seconds", (now - session.opened_at).ns / seconds(1).ns},
          {"rtt_ms", round_trip_ms(session)},
          {"grants", grants_view(session.claims.grants)},
          {"statistics", statistics_view(has_slot ? stats : nothing)}};
}

Json join_view(const gateway::Claims& claims, const std::string& token,
               const std::string& endpoint) {
  return {{"token", token},
          {"endpoint", endpoint},
          {"guild_id", claims.server_id},
          {"server_id", claims.server_id},
          {"channel_id", claims.channel_id},
          {"user_id", claims.user_id},
          {"session_id", claims.session_id},
          {"expires_at", claims.expires}};
}

// No id holds a line break.
std::string channel_cursor(const ChannelKey& key) {
  return encode(key.server_id + "\n" + key.channel_id);
}

std::optional<ChannelKey> parse_channel_cursor(std::string_view cursor) {
  const auto text = decode(cursor);
  const auto split = text ? text->find('\n') : std::string::npos;
  if (split == std::string::npos) return std::nullopt;
  return ChannelKey{text->substr(0, split), text->substr(split + 1)};
}

std::string user_cursor(const std::string& user_id) {
  return encode(user_id);
}

std::optional<std::string> parse_user_cursor(std::string_view cursor) {
  return decode(cursor);
}

}  // namespace earshot::control
