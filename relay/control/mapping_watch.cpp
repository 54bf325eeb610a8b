#include "relay/control/mapping_watch.h"

#include <algorithm>

namespace earshot::control {
namespace {

// Some clients send a keep-alive every 5 s, some with each heartbeat: one that got lost is no sign.
constexpr Duration silence_min = seconds(15);
Duration silence_max(const Session& session) {
  return std::max(silence_min, session.keep_alive_interval * 9 / 4);
}
constexpr Duration pause_min = seconds(60);
// Many listeners behind one router lose their mappings at once; they come back spread over this.
constexpr std::int64_t jitter_ms_max = 5'000;

Time to_time(const SlotStats::Counter& counter) {
  return {static_cast<std::int64_t>(get(counter))};
}

}  // namespace

bool MappingWatch::is_lost(Time now, Session& session, const SlotStats& stats) {
  const Time keep_alive = to_time(stats.keep_alive_ns);
  if (keep_alive == Time{} || session.client == nullptr) return false;
  if (keep_alive != session.keep_alive_seen) {
    if (session.keep_alive_seen != Time{}) {
      session.keep_alive_interval = keep_alive - session.keep_alive_seen;
    }
    session.keep_alive_seen = keep_alive;
  }
  const auto jitter = milliseconds(static_cast<std::int64_t>(
      session.id * 2'654'435'761 % static_cast<std::uint64_t>(jitter_ms_max)));
  const Time heard = std::max({keep_alive, to_time(stats.last_packet_ns), session.attached_at});
  if (now - heard < silence_max(session) + jitter) return false;
  // Its heartbeats have stopped too: then it is gone, not deaf.
  if (session.client->rules.last_heartbeat() <= heard) return false;
  Time& last = lost_at_[{session.claims.server_id, session.claims.user_id}];
  if (last != Time{} && now - last < pause_min) return false;
  last = now;
  return true;
}

void MappingWatch::sweep(Time now) {
  std::erase_if(lost_at_, [now](const auto& entry) { return now - entry.second >= pause_min; });
}

}  // namespace earshot::control
