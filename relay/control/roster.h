// Who is live in which channel, and what its participants are told of each other: Clients Connect,
// Speaking, Client Disconnect, and the replay of what a resumed client has missed. Controller
// thread. It decides nothing about sessions; it only tells. A newcomer is introduced to a large
// channel in parts, each when the one before has left for its socket.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "relay/base/limits.h"
#include "relay/control/session.h"
#include "relay/control/session_observer.h"

namespace earshot::control {

class Roster {
 public:
  explicit Roster(std::size_t introductions_per_part = limits::introductions_per_part)
      : introductions_per_part_(introductions_per_part) {}
  // Hears of entries, leaves and speaking flags; it outlives this.
  void set_observer(SessionObserver* observer) { observer_ = observer; }

  // Op 4 is out: the newcomer hears of everybody, and everybody of the newcomer. Once a session.
  void enter(Session& newcomer);
  // Everybody else hears that it has gone. Nothing happens if it was not in.
  void leave(Session& leaver, EndReason reason, std::optional<gateway::CloseCode> code);
  // The node stops: for the observer everybody has left, and it hears no more.
  void tell_stopping();
  // An op 5 of its own, passed on unless nothing has changed.
  void on_speaking(Session& speaker, std::uint32_t flags);
  // A heartbeat: what it acknowledges need not be kept.
  void on_heartbeat(Session& session, std::optional<std::int64_t> seq_ack);
  // Is everything still there that a client which has read up to `seq_ack` has missed?
  bool can_resume(const Session& session, std::optional<std::int64_t> seq_ack) const;
  // Sends op 9 and what the client has missed.
  void resume(Session& session, std::optional<std::int64_t> seq_ack);
  // Its client has taken all that was queued: the next part of an introduction may follow.
  void on_drained(Session& session) { introduce(session); }

  // In the order of entering.
  const std::vector<Session*>& live(const ChannelKey& channel) const;

 private:
  void tell(Session& session, std::string_view message);
  void introduce(Session& session);
  bool tell_connected(Session& to, std::span<Session* const> whom);
  void tell_speaking(Session& to, const Session& speaker);
  void tell_state(Session& session);

  std::size_t introductions_per_part_;
  SessionObserver* observer_ = nullptr;
  std::map<ChannelKey, std::vector<Session*>> live_;
};

}  // namespace earshot::control
