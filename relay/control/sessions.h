// The signalling sessions of a node: who identifies, resumes, takes over and leaves, and what that
// means for channels and media. Controller thread; sans-IO: connections are an interface, time
// comes from the clock that it is given. Channels and slots are Membership's business, keys
// Keying's, and what participants are told of each other is the Roster's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "relay/base/limits.h"
#include "relay/control/admission.h"
#include "relay/control/keying.h"
#include "relay/control/log.h"
#include "relay/control/mapping_watch.h"
#include "relay/control/membership.h"
#include "relay/control/moderation.h"
#include "relay/control/roster.h"
#include "relay/control/session.h"
#include "relay/control/token_memory.h"
#include "relay/core/event.h"
#include "relay/gateway/connection.h"
#include "relay/gateway/token.h"

namespace earshot::control {

struct Clock {
  std::function<Time()> monotonic;
  std::function<std::int64_t()> unix_seconds;
};

struct SessionsOptions {
  Endpoint media;                       // what Ready tells: where this node's media port is reached
  std::vector<crypto::AeadMode> modes;  // in order of preference
  std::size_t unidentified_per_address_max = 64;
  std::size_t bad_tokens_per_address_max = 10;
  std::size_t introductions_per_part = limits::introductions_per_part;
};

// Since the start; only ever growing.
struct SessionsCounters {
  std::uint64_t identified = 0;
  std::uint64_t resumed = 0;
  std::uint64_t resumes_refused = 0;
  std::uint64_t taken_over = 0;
  std::uint64_t tokens_refused = 0;
  std::uint64_t capacity_refused = 0;  // the node or the channel is full
  std::uint64_t fresh_keys = 0;        // closed with 4009 because nonces were about to meet
  std::uint64_t mappings_lost = 0;     // closed with 4009 because keep-alives had stopped
};

class Sessions final : public gateway::ConnectionEvents {
 public:
  // What is given by reference outlives it.
  Sessions(Membership& membership, Commands& commands, const gateway::TokenVerifier& verifier,
           SessionsOptions options, Clock clock);
  ~Sessions() override;

  // --- From the gateway ---
  std::optional<gateway::HttpResponse> on_request(gateway::Connection& connection,
                                                  const gateway::HttpRequest& request) override;
  bool accepts_websocket(const gateway::HttpRequest& request) override;
  void on_open(gateway::Connection& connection, const gateway::HttpRequest& request) override;
  void on_text(gateway::Connection& connection, std::string_view message) override;
  void on_binary(gateway::Connection& connection, std::string_view message) override;
  void on_drained(gateway::Connection& connection) override;
  void on_closed(gateway::Connection& connection, std::uint16_t code) override;
  bool admits(const IpAddress& peer) override;
  void on_released(const IpAddress& peer) override;

  // --- From the workers ---
  void on_event(const Event& event);

  // --- Time ---
  // Every few milliseconds while needs_ticks(): media that waits for op 4 to be delivered.
  bool needs_ticks() const { return keying_.is_waiting(); }
  void on_tick() { keying_.on_tick(clock_.monotonic()); }
  // Every limits::sweep_interval: deadlines of connections and sessions.
  void on_sweep();

  // --- From the application (sessions_application.cpp) ---
  // Hears what becomes of sessions; it outlives this.
  void set_observer(SessionObserver* observer) { roster_.set_observer(observer); }
  // The node stops: as far as the observer is concerned, every session ends now.
  void tell_stopping() { roster_.tell_stopping(); }
  // Whether or not that user is there now; what is left out stays. `done`: nothing comes from
  // (mute) or goes to (deafen) it any more, after the silence that ends its stream. False, and
  // nothing happens, when limits::restraints_max users are restrained already.
  struct RestraintChange {
    std::optional<bool> is_muted{};
    std::optional<bool> is_deafened{};
  };
  [[nodiscard]] bool restrain(const ChannelKey& channel, const std::string& user_id,
                              RestraintChange change, std::function<void()> done);
  Restraint restraint(const ChannelKey& channel, const std::string& user_id) const {
    return moderation_.of(channel, user_id);
  }
  // Ends the session with 4014 and revokes its session id. `done`: silent in both directions.
  // False if that user is not there.
  bool disconnect(const ChannelKey& channel, const std::string& user_id,
                  std::function<void()> done);
  // The same with 4022 for everybody. False if nobody is there.
  bool close_channel(const ChannelKey& channel, std::function<void()> done);
  // The user is to come back in another channel of the server: the session ends with 4014 when it
  // does, or after limits::move_time_max. Its session id does not identify again. False if not
  // there.
  bool begin_move(const ChannelKey& channel, const std::string& user_id,
                  const std::string& to_channel_id);
  // That user's session in that channel, whether or not it has a slot yet.
  const Session* find_in(const ChannelKey& channel, const std::string& user_id) const;
  // Sessions of the channel in the order of their user ids, from behind `after` on.
  std::vector<const Session*> list(const ChannelKey& channel, const std::string& after,
                                   std::size_t count_max) const;
  const SlotStats& stats(const Session& session) const {
    return commands_.workers().stats(session.ssrc);
  }
  Time now() const { return clock_.monotonic(); }
  std::int64_t unix_seconds() const { return clock_.unix_seconds(); }

  std::size_t clients_count() const { return clients_.size(); }
  std::size_t sessions_count() const { return sessions_.size(); }
  const SessionsCounters& counters() const { return counters_; }
  // Of all sessions that have one.
  template <typename Visit>
  void for_each_slot(const Visit& visit) const {
    for (const auto& [id, session] : sessions_) {
      if (session->member != 0) visit(session->ssrc);
    }
  }

 private:
  using UserKey = std::pair<std::string, std::string>;  // server, user

  static Client& client_of(gateway::Connection& connection);
  void react(Client& client, gateway::GatewaySession::Reaction reaction);
  void on_message(Client& client, const gateway::Identify& message);
  void on_message(Client& client, const gateway::Resume& message);
  void on_message(Client& client, const gateway::SelectProtocol& message);
  void on_message(Client& client, const gateway::Speaking& message);
  void on_message(Client& client, const gateway::Heartbeat& message);
  void on_message(Client&, const gateway::Ignored&) {}

  std::optional<gateway::CloseCode> check_identify(const gateway::Identify& message,
                                                   const TokenHash& hash,
                                                   const gateway::TokenVerifier::Verdict& verdict);
  bool is_valid(const gateway::TokenVerifier::Verdict& verdict, const TokenHash& hash) const;
  Session* find_resumable(const gateway::Resume& message, const TokenHash& hash,
                          const gateway::TokenVerifier::Verdict& verdict) const;
  void open(Session& session);
  void on_opened(std::uint64_t id);
  void attach(Session& session, Client& client);
  void detach(Session& session, std::uint16_t code);
  // Closes the connection with the code, if there is one of each.
  void end(Session& session, EndReason reason, std::optional<gateway::CloseCode> code = {});
  void revoke(const Session& session);
  // Counts it against the address.
  void refuse_token(Client& client, std::string_view reason);
  // Calls `then` once the slot that this user has left, if any, is silent and free.
  void when_left(const UserKey& user, std::function<void()> then);
  void on_left(const UserKey& user);
  void close(Client& client, gateway::CloseCode code);
  void track(const SlotRef& slot, const Endpoint& remote);
  Session* find(std::uint64_t id) const;
  Session* find(const std::string& server_id, const std::string& user_id) const;
  void sweep_clients(Time now);
  void sweep_sessions(Time now);

  Membership& membership_;
  Commands& commands_;
  const gateway::TokenVerifier& verifier_;
  SessionsOptions options_;
  Clock clock_;
  Admission admission_;
  TokenMemory tokens_;
  Moderation moderation_;
  MappingWatch mappings_;
  Roster roster_;
  Keying keying_;
  std::map<std::uint64_t, std::unique_ptr<Client>> clients_;
  std::map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::map<UserKey, Session*> by_user_;
  std::map<MemberId, Session*> by_member_;
  // Users whose slot is being closed, and what waits for that.
  std::map<UserKey, std::vector<std::function<void()>>> leaving_;
  std::uint64_t next_id_ = 1;
  Time swept_at_;
  SessionsCounters counters_;
  log::Throttle refused_tokens_, refused_joins_;
};

}  // namespace earshot::control
