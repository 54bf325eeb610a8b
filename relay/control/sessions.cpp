#include "relay/control/sessions.h"

#include <algorithm>

#include "relay/base/check.h"
#include "relay/base/limits.h"
#include "relay/control/api.h"
#include "relay/gateway/http.h"

namespace earshot::control {
namespace {

using gateway::CloseCode;

constexpr Duration forget_interval = seconds(5);

std::string_view reason_of(CloseCode code) {
  switch (code) {
    case CloseCode::unknown_opcode:
      return "unknown opcode";
    case CloseCode::decode_error:
      return "not a message of this protocol";
    case CloseCode::not_authenticated:
      return "identify first";
    case CloseCode::authentication_failed:
      return "token, user or server refused";
    case CloseCode::already_authenticated:
      return "already identified";
    case CloseCode::session_invalid:
      return "no such session";
    case CloseCode::session_timeout:
      return "session over, identify anew";
    case CloseCode::unknown_protocol:
      return "only udp is spoken here";
    case CloseCode::disconnected:
      return "disconnected";
    case CloseCode::unknown_mode:
      return "unknown encryption mode";
    case CloseCode::e2ee_required:
      return "end-to-end encryption required";
    case CloseCode::bad_request:
      return "malformed payload, or an unsupported version";
    case CloseCode::rate_limited:
      return "too many messages, or the node is full";
    case CloseCode::channel_closed:
      return "channel closed";
    default:
      return {};
  }
}

// Closes after which the same token may identify again.
bool asks_for_identify(CloseCode code) {
  return code == CloseCode::session_timeout || code == CloseCode::going_away;
}

// For the log: what was wrong with a token, or with what it was used for.
std::string_view refusal(CloseCode code, const gateway::TokenVerifier::Verdict& verdict) {
  if (code == CloseCode::session_invalid) return "other_session";
  if (code == CloseCode::e2ee_required) return "e2ee_required";
  return verdict.error ? gateway::name(*verdict.error) : "other_user_or_server";
}

}  // namespace

Sessions::Sessions(Membership& membership, Commands& commands,
                   const gateway::TokenVerifier& verifier, SessionsOptions options, Clock clock)
    : membership_(membership),
      commands_(commands),
      verifier_(verifier),
      options_(std::move(options)),
      clock_(std::move(clock)),
      admission_(options_.unidentified_per_address_max, options_.bad_tokens_per_address_max),
      roster_(options_.introductions_per_part),
      keying_(membership, roster_, options_.modes, [this](std::uint64_t id) { return find(id); }) {}

Sessions::~Sessions() = default;

Session* Sessions::find(std::uint64_t id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

Session* Sessions::find(const std::string& server_id, const std::string& user_id) const {
  const auto found = by_user_.find({server_id, user_id});
  return found == by_user_.end() ? nullptr : found->second;
}

// --- Connections --------------------------------------------------------------------------------

Client& Sessions::client_of(gateway::Connection& connection) {
  return *static_cast<Client*>(connection.context);
}

bool Sessions::admits(const IpAddress& peer) {
  return admission_.admit(clock_.monotonic(), peer);
}

void Sessions::on_released(const IpAddress& peer) {
  admission_.on_released(peer);
}

bool Sessions::accepts_websocket(const gateway::HttpRequest& request) {
  return request.path == "/";
}

std::optional<gateway::HttpResponse> Sessions::on_request(gateway::Connection&,
                                                          const gateway::HttpRequest& request) {
  if (auto health = health_response(request)) return *health;
  if (request.path == "/") {
    auto response = gateway::problem_response(426, "upgrade-required",
                                              "this is a voice gateway: connect with WebSocket");
    response.headers = {{"Upgrade", "websocket"}};
    return response;
  }
  return gateway::problem_response(404, "not-found", "nothing is served at this path");
}

void Sessions::on_open(gateway::Connection& connection, const gateway::HttpRequest& request) {
  bool has_version = false;
  const std::string_view value = request.query_parameter("v", &has_version);
  const std::uint64_t id = next_id_++;
  auto owned = std::make_unique<Client>(
      id, connection, gateway::parse_gateway_version(value, has_version), clock_.monotonic());
  Client& client = *owned;
  clients_[id] = std::move(owned);
  connection.context = &client;
  react(client, client.rules.begin());
}

void Sessions::on_text(gateway::Connection& connection, std::string_view message) {
  Client& client = client_of(connection);
  if (client.session != nullptr) keying_.on_heard(*client.session);
  react(client, client.rules.on_text(clock_.monotonic(), message));
}

// Only end-to-end encryption sends binary messages, and that is not offered.
void Sessions::on_binary(gateway::Connection& connection, std::string_view) {
  react(client_of(connection), {{}, CloseCode::decode_error, std::nullopt, false});
}

void Sessions::on_drained(gateway::Connection& connection) {
  Client& client = client_of(connection);
  if (client.session != nullptr) roster_.on_drained(*client.session);
}

void Sessions::on_closed(gateway::Connection& connection, std::uint16_t code) {
  Client& client = client_of(connection);
  if (client.is_identified) admission_.on_unidentified(connection.peer().ip);
  if (client.session != nullptr) detach(*client.session, code);
  clients_.erase(client.id);
}

void Sessions::close(Client& client, CloseCode code) {
  client.connection.close(static_cast<std::uint16_t>(code), reason_of(code));
}

void Sessions::react(Client& client, gateway::GatewaySession::Reaction reaction) {
  if (!reaction.reply.empty()) client.connection.send_text(reaction.reply);
  if (reaction.close) {
    if (client.session != nullptr) {
      end(*client.session, EndReason::protocol_error, reaction.close);
    } else {
      close(client, *reaction.close);
    }
    return;
  }
  if (reaction.is_dead) return client.connection.abort();
  if (!reaction.request) return;
  std::visit([this, &client](const auto& message) { on_message(client, message); },
             *reaction.request);
}

// --- Identify -----------------------------------------------------------------------------------

// `exp` bounds the first Identify only: a session that lives, or that was asked to identify anew,
// may do so later.
bool Sessions::is_valid(const gateway::TokenVerifier::Verdict& verdict,
                        const TokenHash& hash) const {
  if (!verdict.claims) return false;
  if (!verdict.error) return true;
  if (!verdict.is_expired_only) return false;
  const Session* session = find(verdict.claims->server_id, verdict.claims->user_id);
  if (session != nullptr && crypto::equal_constant_time(session->token_hash, hash)) return true;
  return tokens_.has_grace(clock_.monotonic(), hash);
}

std::optional<CloseCode> Sessions::check_identify(const gateway::Identify& message,
                                                  const TokenHash& hash,
                                                  const gateway::TokenVerifier::Verdict& verdict) {
  if (!is_valid(verdict, hash)) return CloseCode::authentication_failed;
  const gateway::Claims& claims = *verdict.claims;
  if (tokens_.is_revoked(clock_.monotonic(), claims)) return CloseCode::authentication_failed;
  if (message.server_id != claims.server_id || message.user_id != claims.user_id) {
    return CloseCode::authentication_failed;
  }
  if (message.session_id != claims.session_id) return CloseCode::session_invalid;
  if (claims.grants.require_e2ee) return CloseCode::e2ee_required;
  return std::nullopt;
}

void Sessions::refuse_token(Client& client, std::string_view reason) {
  const Time now = clock_.monotonic();
  const IpAddress& peer = client.connection.peer().ip;
  admission_.on_bad_token(now, peer);
  if (const auto held_back = refused_tokens_.admit(now)) {
    log::info("token_refused", {{"reason", reason}, {"peer", peer}, {"held_back", *held_back}});
  }
}

void Sessions::on_message(Client& client, const gateway::Identify& message) {
  const TokenHash hash = tokens_.hash(message.token);
  auto verdict = verifier_.verify(message.token, clock_.unix_seconds());
  if (const auto code = check_identify(message, hash, verdict)) {
    ++counters_.tokens_refused;
    refuse_token(client, refusal(*code, verdict));
    return close(client, *code);
  }
  ++counters_.identified;
  // One user is in one channel of a server.
  if (Session* old = find(message.server_id, message.user_id)) {
    ++counters_.taken_over;
    end(*old, old->moves_at ? EndReason::moved : EndReason::taken_over, CloseCode::disconnected);
  }
  const std::uint64_t id = next_id_++;
  auto owned = std::make_unique<Session>();
  Session& session = *owned;
  sessions_[id] = std::move(owned);
  session.id = id;
  session.claims = std::move(*verdict.claims);
  session.token_hash = hash;
  session.opened_at = clock_.monotonic();
  attach(session, client);
  const UserKey user{message.server_id, message.user_id};
  by_user_[user] = &session;
  // Its last slot goes first: on a full node it is the only free one.
  when_left(user, [this, id] {
    if (Session* waiting = find(id)) open(*waiting);
  });
}

void Sessions::open(Session& session) {
  const Restraint restraint = moderation_.of(session.channel(), session.claims.user_id);
  Membership::Join join;
  join.channel = session.channel();
  join.grants = {session.claims.grants.speak, session.claims.grants.listen,
                 session.claims.grants.priority, no_late_ms_max};
  if (const auto ms = session.claims.grants.late_ms_max) {
    join.grants.late_ms_max = static_cast<std::uint16_t>(*ms);
  }
  join.is_muted = restraint.is_muted;
  join.is_deafened = restraint.is_deafened;
  join.signalling_peer = session.signalling_peer;
  const auto member = membership_.join(join, [this, id = session.id] { on_opened(id); });
  if (!member) {
    ++counters_.capacity_refused;
    if (const auto held_back = refused_joins_.admit(clock_.monotonic())) {
      log::warn("join_refused", {{"reason", "node_full"}, {"held_back", *held_back}});
    }
    return end(session, EndReason::protocol_error, CloseCode::rate_limited);
  }
  session.member = *member;
  session.ssrc = membership_.slot(*member).ssrc;
  by_member_[*member] = &session;
}

void Sessions::on_opened(std::uint64_t id) {
  Session* session = find(id);
  if (session == nullptr || session->client == nullptr) return;
  session->phase = Session::Phase::ready;
  session->client->connection.send_text(
      gateway::ready_message({session->ssrc, options_.media.ip, options_.media.port,
                              keying_.modes(), limits::heartbeat_interval}));
  session->client->rules.on_ready_sent(clock_.monotonic());
}

void Sessions::attach(Session& session, Client& client) {
  session.client = &client;
  session.version = client.rules.version();
  session.signalling_peer = client.connection.peer().ip;
  session.attached_at = clock_.monotonic();
  client.session = &session;
  if (!std::exchange(client.is_identified, true)) {
    admission_.on_identified(client.connection.peer().ip);
  }
}

// --- Resume -------------------------------------------------------------------------------------

// The same token, or a valid one for the same person and place.
Session* Sessions::find_resumable(const gateway::Resume& message, const TokenHash& hash,
                                  const gateway::TokenVerifier::Verdict& verdict) const {
  if (!verdict.claims || message.server_id != verdict.claims->server_id) return nullptr;
  Session* session = find(verdict.claims->server_id, verdict.claims->user_id);
  if (session == nullptr || session->claims.session_id != message.session_id) return nullptr;
  const bool is_same_token = crypto::equal_constant_time(session->token_hash, hash);
  const bool is_same_identity = !verdict.error && verdict.claims->is_same_identity(session->claims);
  if (!is_same_token && !is_same_identity) return nullptr;
  // Who has not read op 4 has nothing to go on with.
  return session->is_description_delivered ? session : nullptr;
}

// What cannot be resumed stays as it is: its client will identify anew, and take over.
void Sessions::on_message(Client& client, const gateway::Resume& message) {
  const TokenHash hash = tokens_.hash(message.token);
  const auto verdict = verifier_.verify(message.token, clock_.unix_seconds());
  Session* session = find_resumable(message, hash, verdict);
  if (session == nullptr || !roster_.can_resume(*session, message.seq_ack)) {
    ++counters_.resumes_refused;
    if (!verdict.claims) refuse_token(client, gateway::name(*verdict.error));
    return close(client, CloseCode::session_invalid);
  }
  ++counters_.resumed;
  if (session->client != nullptr) {
    Client& old = *std::exchange(session->client, nullptr);
    old.session = nullptr;
    close(old, CloseCode::disconnected);
  }
  const IpAddress peer_before = session->signalling_peer;
  const int version_before = session->version;
  attach(*session, client);
  session->version = version_before;
  session->token_hash = hash;
  client.rules.on_established();
  roster_.resume(*session, message.seq_ack);
  log::info("session_resumed", {{"session", session->id}, {"peer", session->signalling_peer}});
  if (session->signalling_peer != peer_before) {
    membership_.send(session->member, SetSignallingPeer{membership_.slot(session->member),
                                                        session->signalling_peer});
  }
}

// --- A session's messages -----------------------------------------------------------------------

void Sessions::on_message(Client& client, const gateway::SelectProtocol& message) {
  if (client.session == nullptr) return;
  if (const auto code = keying_.on_select_protocol(*client.session, message)) {
    end(*client.session, EndReason::protocol_error, code);
  }
}

void Sessions::on_message(Client& client, const gateway::Speaking& message) {
  if (client.session == nullptr) return;
  Session& session = *client.session;
  // Who is not heard is not shown as speaking either.
  const bool is_heard = session.claims.grants.speak &&
                        !moderation_.of(session.channel(), session.claims.user_id).is_muted;
  roster_.on_speaking(session, is_heard ? message.flags : 0);
}

void Sessions::on_message(Client& client, const gateway::Heartbeat& message) {
  if (client.session != nullptr) roster_.on_heartbeat(*client.session, message.seq_ack);
}

// --- The end ------------------------------------------------------------------------------------

// Its connection is gone. Everything but a farewell may be followed by a resume.
void Sessions::detach(Session& session, std::uint16_t code) {
  session.client = nullptr;
  session.detached_at = clock_.monotonic();
  if (code == static_cast<std::uint16_t>(CloseCode::normal)) {
    return end(session, EndReason::disconnected);
  }
  if (session.is_description_delivered) return;
  tokens_.grant_grace(clock_.monotonic(), session.token_hash);
  end(session, EndReason::disconnected);
}

void Sessions::end(Session& session, EndReason reason, std::optional<CloseCode> code) {
  if (session.is_joined) {
    log::info("session_left", {{"session", session.id},
                               {"reason", name(reason)},
                               {"code", code ? static_cast<std::uint16_t>(*code) : 0u},
                               {"server", session.claims.server_id},
                               {"channel", session.claims.channel_id},
                               {"user", log::Person{session.claims.user_id}}});
  }
  if (session.client != nullptr) {
    Client& client = *std::exchange(session.client, nullptr);
    client.session = nullptr;
    if (code) close(client, *code);
  }
  if (code && asks_for_identify(*code)) {
    tokens_.grant_grace(clock_.monotonic(), session.token_hash);
  }
  roster_.leave(session, reason, code);
  keying_.forget(session);
  const UserKey user{session.claims.server_id, session.claims.user_id};
  by_user_.erase(user);
  if (session.member != 0) {
    by_member_.erase(session.member);
    track(membership_.slot(session.member), {});
    RELAY_CHECK(leaving_.try_emplace(user).second);
    membership_.leave(session.member, [this, user] { on_left(user); });
  }
  sessions_.erase(session.id);
}

void Sessions::when_left(const UserKey& user, std::function<void()> then) {
  const auto found = leaving_.find(user);
  if (found == leaving_.end()) return then();
  found->second.push_back(std::move(then));
}

void Sessions::on_left(const UserKey& user) {
  const auto node = leaving_.extract(user);
  for (const auto& then : node.mapped()) then();
}

// --- Workers ------------------------------------------------------------------------------------

void Sessions::track(const SlotRef& slot, const Endpoint& remote) {
  commands_.workers().send(WorkerIndex{0}, TrackAddress{slot, remote});
}

void Sessions::on_event(const Event& event) {
  const auto member = membership_.find(event.slot);
  const auto found = member ? by_member_.find(*member) : by_member_.end();
  if (found == by_member_.end()) return;
  switch (event.kind) {
    case EventKind::address_changed:
      track(event.slot, event.remote);
      found->second->media_ip = event.remote.ip;
      return;
    case EventKind::fresh_key_needed:
      ++counters_.fresh_keys;
      end(*found->second, EndReason::fresh_key, CloseCode::session_timeout);
      return;
  }
}

// --- Time ---------------------------------------------------------------------------------------

void Sessions::on_sweep() {
  const Time now = clock_.monotonic();
  sweep_clients(now);
  sweep_sessions(now);
  if (now - swept_at_ < forget_interval) return;
  swept_at_ = now;
  admission_.sweep(now);
  tokens_.sweep(now);
  mappings_.sweep(now);
}

// Reactions close or abort connections, which end later, from the loop: the map stays as it is.
void Sessions::sweep_clients(Time now) {
  for (const auto& [id, client] : clients_) {
    if (now >= client->rules.next_timeout()) react(*client, client->rules.on_timeout(now));
  }
}

void Sessions::sweep_sessions(Time now) {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    Session& session = *(it++)->second;
    if (session.moves_at && now >= *session.moves_at) {
      end(session, EndReason::moved, CloseCode::disconnected);
    } else if (session.client == nullptr) {
      if (now - session.detached_at >= limits::resume_window) end(session, EndReason::timeout);
    } else if (session.phase == Session::Phase::live &&
               mappings_.is_lost(now, session, commands_.workers().stats(session.ssrc))) {
      ++counters_.mappings_lost;
      end(session, EndReason::fresh_key, CloseCode::session_timeout);
    }
  }
}

}  // namespace earshot::control
