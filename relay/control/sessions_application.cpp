// What the application does with sessions: restrain, disconnect, move, close.
#include <algorithm>

#include "relay/base/limits.h"
#include "relay/control/sessions.h"

namespace earshot::control {
namespace {

using gateway::CloseCode;

// Calls `done` when all its copies are gone.
std::shared_ptr<void> when_all_gone(std::function<void()> done) {
  return {nullptr, [done = std::move(done)](void*) { done(); }};
}

}  // namespace

const Session* Sessions::find_in(const ChannelKey& channel, const std::string& user_id) const {
  const Session* session = find(channel.server_id, user_id);
  return session != nullptr && session->channel() == channel ? session : nullptr;
}

std::vector<const Session*> Sessions::list(const ChannelKey& channel, const std::string& after,
                                           std::size_t count_max) const {
  std::vector<const Session*> listed;
  for (auto it = by_user_.upper_bound({channel.server_id, after});
       it != by_user_.end() && it->first.first == channel.server_id && listed.size() < count_max;
       ++it) {
    if (it->second->claims.channel_id == channel.channel_id) listed.push_back(it->second);
  }
  return listed;
}

// A session without a slot takes what stands in `moderation_` when it gets one.
bool Sessions::restrain(const ChannelKey& channel, const std::string& user_id,
                        RestraintChange change, std::function<void()> done) {
  Restraint restraint = moderation_.of(channel, user_id);
  restraint.is_muted = change.is_muted.value_or(restraint.is_muted);
  restraint.is_deafened = change.is_deafened.value_or(restraint.is_deafened);
  if (!moderation_.set(channel, user_id, restraint)) return false;
  const Session* session = find_in(channel, user_id);
  if (session == nullptr || session->member == 0) {
    when_left({channel.server_id, user_id}, std::move(done));
    return true;
  }
  const SlotRef slot = membership_.slot(session->member);
  membership_.send(session->member, SetDeafened{slot, restraint.is_deafened});
  membership_.send_and_settle(session->member, SetMuted{slot, restraint.is_muted}, std::move(done));
  return true;
}

// Longer than any token of it may identify: until `exp`, and as long as a grace lasts.
void Sessions::revoke(const Session& session) {
  const Duration until_expiry =
      seconds(std::max<std::int64_t>(0, session.claims.expires - clock_.unix_seconds()));
  tokens_.revoke(session.claims,
                 clock_.monotonic() + until_expiry + limits::token_leeway + limits::token_grace);
}

bool Sessions::disconnect(const ChannelKey& channel, const std::string& user_id,
                          std::function<void()> done) {
  if (find_in(channel, user_id) == nullptr) return false;
  Session& session = *find(channel.server_id, user_id);
  revoke(session);
  end(session, EndReason::kicked, CloseCode::disconnected);
  when_left({channel.server_id, user_id}, std::move(done));
  return true;
}

bool Sessions::close_channel(const ChannelKey& channel, std::function<void()> done) {
  const auto there = list(channel, "", SIZE_MAX);
  if (there.empty()) return false;
  const auto all_left = when_all_gone(std::move(done));
  for (const Session* one : there) {
    const UserKey user{one->claims.server_id, one->claims.user_id};
    Session& session = *find(user.first, user.second);
    revoke(session);
    end(session, EndReason::channel_closed, CloseCode::channel_closed);
    when_left(user, [all_left] {});
  }
  return true;
}

bool Sessions::begin_move(const ChannelKey& channel, const std::string& user_id,
                          const std::string& to_channel_id) {
  if (find_in(channel, user_id) == nullptr) return false;
  Session& session = *find(channel.server_id, user_id);
  revoke(session);
  session.moves_at = clock_.monotonic() + limits::move_time_max;
  session.moves_to = to_channel_id;
  return true;
}

}  // namespace earshot::control
