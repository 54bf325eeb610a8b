// From Select Protocol to the first datagram: the key, Session Description (op 4), and the moment
// from which a client may be sent media. Controller thread; time comes in as an argument. Some
// clients break when media reaches them before op 4, so nothing starts until that is delivered.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "relay/control/key_store.h"
#include "relay/control/membership.h"
#include "relay/control/roster.h"
#include "relay/control/session.h"

namespace earshot::control {

class Keying {
 public:
  using FindSession = std::function<Session*(std::uint64_t id)>;

  // `modes` in the order of preference. `membership` and `roster` outlive it.
  Keying(Membership& membership, Roster& roster, std::vector<crypto::AeadMode> modes,
         FindSession find);

  const std::vector<crypto::AeadMode>& modes() const { return modes_; }

  // The code to close with, if it cannot be accepted.
  std::optional<gateway::CloseCode> on_select_protocol(Session& session,
                                                       const gateway::SelectProtocol& select);
  // The client has sent something: if its kernel has op 4 too, there is nothing to wait for.
  void on_heard(Session& session);
  // Looks after the sessions whose op 4 is on its way. Call it every few milliseconds while
  // is_waiting().
  void on_tick(Time now);
  bool is_waiting() const { return !waiting_.empty(); }
  // The session ends.
  void forget(Session& session);

 private:
  void install(Session& session, const gateway::SelectProtocol& select);
  void on_installed(Session& session);
  void send_description(Session& session);
  void start_sending(Session& session);
  static bool is_acknowledged(const Session& session);

  Membership& membership_;
  Roster& roster_;
  std::vector<crypto::AeadMode> modes_;
  FindSession find_;
  KeyStore keys_;
  std::vector<std::uint64_t> waiting_;  // sessions whose op 4 is out and not delivered
};

}  // namespace earshot::control
