#include "relay/control/roster.h"

#include <algorithm>
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

void Roster::tell_connected(Session& to, const std::vector<Session*>& whom) {
  if (to.version >= numbered_version) {
    std::vector<std::string> user_ids;
    for (const Session* other : whom) {
      if (other != &to) user_ids.push_back(other->claims.user_id);
    }
    if (!user_ids.empty()) tell(to, gateway::clients_connect_message(user_ids));
    return;
  }
  for (const Session* other : whom) {
    if (other != &to) tell(to, gateway::client_connect_message(other->claims.user_id, other->ssrc));
  }
}

void Roster::tell_speaking(Session& to, const Session& speaker) {
  if (&to == &speaker || !speaker.claims.grants.speak) return;
  tell(to, gateway::speaking_message(to.version, speaker.claims.user_id, speaker.ssrc,
                                     speaker.speaking_flags));
}

// Op 5 tells the SSRC of whoever may speak before the first word: media overtakes signalling, and
// some libraries drop audio of an SSRC that they cannot name.
void Roster::enter(Session& newcomer) {
  auto& others = live_[newcomer.channel()];
  if (std::find(others.begin(), others.end(), &newcomer) != others.end()) return;
  tell_connected(newcomer, others);
  for (const Session* other : others) tell_speaking(newcomer, *other);
  for (Session* other : others) {
    tell_connected(*other, {&newcomer});
    tell_speaking(*other, newcomer);
  }
  others.push_back(&newcomer);
  if (observer_ != nullptr) observer_->on_joined(newcomer);
}

void Roster::leave(Session& leaver, EndReason reason, std::optional<gateway::CloseCode> code) {
  const auto found = live_.find(leaver.channel());
  if (found == live_.end() || std::erase(found->second, &leaver) == 0) return;
  const std::string message = gateway::client_disconnect_message(leaver.claims.user_id);
  for (Session* other : found->second) {
    other->left_recently.insert(leaver.claims.user_id);
    tell(*other, message);
  }
  if (found->second.empty()) live_.erase(found);
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
  // Before it is in, nobody knows it; on entering they hear of its flags.
  const auto& others = live(speaker.channel());
  if (std::find(others.begin(), others.end(), &speaker) == others.end()) return;
  for (Session* other : others) tell_speaking(*other, speaker);
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
  const auto& others = live(session.channel());
  tell_connected(session, others);
  for (const Session* other : others) tell_speaking(session, *other);
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
