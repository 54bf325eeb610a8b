#include "relay/control/roster.h"

#include <algorithm>
#include <array>
#include <utility>

#include "relay/base/check.h"

namespace earshot::control {
namespace {

// From v8 on messages carry numbers and are kept for a resume.
constexpr int numbered_version = 8;

}  // namespace

const std::vector<Session*>& Roster::live(const ChannelKey& channel) const {
  static const std::vector<Session*> nobody;
  const auto found = live_.find(channel);
  return found == live_.end() ? nobody : found->second;
}

// While a session waits to be resumed its messages wait too.
void Roster::tell(Session& session, std::string_view message) {
  if (session.version >= numbered_version) {
    const std::string numbered = session.buffer.add(message);
    if (session.client != nullptr) session.client->connection.send_text(numbered);
  } else if (session.client != nullptr) {
    session.client->connection.send_text(message);
  }
}

// Answers whether there was anybody to tell of.
bool Roster::tell_connected(Session& to, std::span<Session* const> whom) {
  const bool is_nobody =
      std::all_of(whom.begin(), whom.end(), [&to](const Session* other) { return other == &to; });
  if (is_nobody) return false;
  if (to.version >= numbered_version) {
    std::vector<std::string> user_ids;
    for (const Session* other : whom) {
      if (other != &to) user_ids.push_back(other->claims.user_id);
    }
    tell(to, gateway::clients_connect_message(user_ids));
    return true;
  }
  for (const Session* other : whom) {
    if (other != &to) tell(to, gateway::client_connect_message(other->claims.user_id, other->ssrc));
  }
  return true;
}

void Roster::tell_speaking(Session& to, const Session& speaker) {
  if (&to == &speaker || !speaker.claims.grants.speak) return;
  tell(to, gateway::speaking_message(to.version, speaker.claims.user_id, speaker.ssrc,
                                     speaker.speaking_flags));
}

// Op 5 tells the SSRC of whoever may speak before the first word: media overtakes signalling, and
// some libraries drop audio of an SSRC that they cannot name.
void Roster::enter(Session& newcomer) {
  auto& all = live_[newcomer.channel()];
  if (std::find(all.begin(), all.end(), &newcomer) != all.end()) return;
  all.push_back(&newcomer);
  newcomer.introduced_count = 0;
  introduce(newcomer);
  const std::array<Session*, 1> whom{&newcomer};
  for (Session* other : all) {
    // Who is being introduced comes to the newcomer in its turn: it stands last in the order.
    if (other == &newcomer || other->introduced_count) continue;
    tell_connected(*other, whom);
    tell_speaking(*other, newcomer);
  }
  if (observer_ != nullptr) observer_->on_joined(newcomer);
}

// The next part, if there is one. While the client is away it waits; op 9 sets it going again.
void Roster::introduce(Session& session) {
  while (session.introduced_count && session.client != nullptr) {
    const auto& all = live(session.channel());
    const auto part = std::span(all).subspan(*session.introduced_count);
    const auto now = part.first(std::min(part.size(), introductions_per_part_));
    *session.introduced_count += now.size();
    if (now.size() == part.size()) {
      session.introduced_count.reset();
      session.is_introduced_anew = false;
    }
    const bool is_told = tell_connected(session, now);
    for (const Session* other : now) tell_speaking(session, *other);
    // Nothing was queued that could drain: go on at once.
    if (is_told) return;
  }
}

void Roster::leave(Session& leaver, EndReason reason, std::optional<gateway::CloseCode> code) {
  const auto found = live_.find(leaver.channel());
  if (found == live_.end()) return;
  auto& all = found->second;
  const auto position = std::find(all.begin(), all.end(), &leaver);
  if (position == all.end()) return;
  const auto index = static_cast<std::size_t>(position - all.begin());
  all.erase(position);
  leaver.introduced_count.reset();
  const std::string message = gateway::client_disconnect_message(leaver.claims.user_id);
  for (Session* other : all) {
    const bool is_introduced = !other->introduced_count || index < *other->introduced_count;
    if (is_introduced && other->introduced_count) --*other->introduced_count;
    if (!is_introduced && !other->is_introduced_anew) continue;
    other->left_recently.insert(leaver.claims.user_id);
    tell(*other, message);
  }
  if (all.empty()) live_.erase(found);
  if (observer_ != nullptr) observer_->on_left(leaver, reason, code);
}

void Roster::tell_stopping() {
  SessionObserver* const observer = std::exchange(observer_, nullptr);
  if (observer == nullptr) return;
  for (const auto& [channel, sessions] : live_) {
    for (const Session* session : sessions)
      observer->on_left(*session, EndReason::stopping, gateway::CloseCode::going_away);
  }
}

void Roster::on_speaking(Session& speaker, std::uint32_t flags) {
  if (speaker.speaking_flags == flags) return;
  speaker.speaking_flags = flags;
  // Before it is in, nobody knows it; on entering they hear of its flags, and so does who is still
  // to be introduced to it.
  const auto& all = live(speaker.channel());
  const auto position = std::find(all.begin(), all.end(), &speaker);
  if (position == all.end()) return;
  const auto index = static_cast<std::size_t>(position - all.begin());
  for (Session* other : all) {
    if (!other->introduced_count || index < *other->introduced_count)
      tell_speaking(*other, speaker);
  }
  if (observer_ != nullptr) observer_->on_speaking(speaker);
}

void Roster::on_heartbeat(Session& session, std::optional<std::int64_t> seq_ack) {
  if (session.version >= numbered_version && seq_ack) session.buffer.acknowledge(*seq_ack);
  session.left_before = std::move(session.left_recently);
  session.left_recently.clear();
}

// Without numbers: all that is known, the leavers first, since one of them may be back.
void Roster::tell_state(Session& session) {
  auto left = session.left_before;
  left.insert(session.left_recently.begin(), session.left_recently.end());
  for (const std::string& user_id : left)
    tell(session, gateway::client_disconnect_message(user_id));
  session.introduced_count = 0;
  session.is_introduced_anew = true;
  introduce(session);
}

bool Roster::can_resume(const Session& session, std::optional<std::int64_t> seq_ack) const {
  return session.version < numbered_version || !seq_ack || session.buffer.after(*seq_ack);
}

// Op 9 first: some libraries ignore what comes before it.
void Roster::resume(Session& session, std::optional<std::int64_t> seq_ack) {
  gateway::Connection& connection = session.client->connection;
  connection.send_text(gateway::resumed_message());
  if (session.version < numbered_version || !seq_ack) return tell_state(session);
  const auto missed = session.buffer.after(*seq_ack);
  RELAY_CHECK(missed.has_value());
  for (const std::string& message : *missed) connection.send_text(message);
}

}  // namespace earshot::control
