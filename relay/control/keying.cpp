#include "relay/control/keying.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "relay/base/limits.h"
#include "relay/control/log.h"

namespace earshot::control {
namespace {

// Between the acknowledgement of op 4 by the client's kernel and the first datagram: the client's
// process still has to read it. One frame.
constexpr Duration description_settles = milliseconds(20);

std::uint32_t random_nonce_start() {
  std::array<std::uint8_t, sizeof(std::uint32_t)> bytes;
  crypto::random_bytes(bytes);
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value % limits::nonce_space;
}

}  // namespace

Keying::Keying(Membership& membership, Roster& roster, std::vector<crypto::AeadMode> modes,
               FindSession find)
    : membership_(membership),
      roster_(roster),
      modes_(std::move(modes)),
      find_(std::move(find)),
      keys_(membership.capacity()) {}

std::optional<gateway::CloseCode> Keying::on_select_protocol(
    Session& session, const gateway::SelectProtocol& select) {
  if (select.protocol != "udp") return gateway::CloseCode::unknown_protocol;
  const auto mode = crypto::parse_aead_mode(select.mode);
  if (!mode || std::find(modes_.begin(), modes_.end(), *mode) == modes_.end()) {
    return gateway::CloseCode::unknown_mode;
  }
  if (session.phase == Session::Phase::keying) {
    session.next_select = select;
  } else if (session.phase == Session::Phase::live && session.mode == *mode) {
    // The same key: only the address is new.
    membership_.send(session.member,
                     SetDeclaredAddress{membership_.slot(session.member), select.address});
    send_description(session);
  } else {
    install(session, select);
  }
  return std::nullopt;
}

void Keying::install(Session& session, const gateway::SelectProtocol& select) {
  if (session.key) {
    keys_.renew(*session.key);
  } else {
    session.key = keys_.create();
  }
  session.mode = *crypto::parse_aead_mode(select.mode);
  session.phase = Session::Phase::keying;
  session.is_description_delivered = false;
  InstallKey command;
  command.slot = membership_.slot(session.member);
  command.mode = session.mode;
  const auto key = keys_.bytes(*session.key);
  std::copy(key.begin(), key.end(), command.key.begin());
  command.declared = select.address;
  command.nonce_start = random_nonce_start();
  membership_.install_key(session.member, command, [this, id = session.id] {
    if (Session* installed = find_(id)) on_installed(*installed);
  });
}

void Keying::on_installed(Session& session) {
  // A client that is gone ends the session before a key is delivered.
  if (session.client == nullptr) return;
  session.phase = Session::Phase::live;
  session.client->rules.on_established();
  send_description(session);
  roster_.enter(session);
  if (!std::exchange(session.is_joined, true)) {
    log::info("session_joined", {{"session", session.id},
                                 {"server", session.claims.server_id},
                                 {"channel", session.claims.channel_id},
                                 {"ssrc", session.ssrc.value},
                                 {"version", session.version},
                                 {"mode", crypto::name(session.mode)},
                                 {"peer", session.signalling_peer},
                                 {"user", log::Person{session.claims.user_id}}});
  }
  if (auto select = std::exchange(session.next_select, std::nullopt)) {
    on_select_protocol(session, *select);
  }
}

void Keying::send_description(Session& session) {
  std::string message =
      gateway::session_description_message(session.mode, keys_.bytes(*session.key));
  if (session.version >= 8) {
    std::string numbered = session.buffer.add_unkept(message);
    std::swap(message, numbered);
    crypto::zero({reinterpret_cast<std::uint8_t*>(numbered.data()), numbered.size()});
  }
  gateway::Connection& connection = session.client->connection;
  const std::uint64_t position = connection.sent_position();
  connection.send_text(message);
  crypto::zero({reinterpret_cast<std::uint8_t*>(message.data()), message.size()});
  if (session.is_description_delivered) return;
  // A connection that is closing takes nothing more: op 4 will never be delivered.
  const bool is_taken = connection.sent_position() > position;
  session.description_position = is_taken ? connection.sent_position() : UINT64_MAX;
  session.description_acknowledged_at.reset();
  if (std::find(waiting_.begin(), waiting_.end(), session.id) == waiting_.end()) {
    waiting_.push_back(session.id);
  }
}

bool Keying::is_acknowledged(const Session& session) {
  return session.client->connection.acknowledged_position() >= session.description_position;
}

void Keying::on_heard(Session& session) {
  const bool is_out = session.phase == Session::Phase::live && !session.is_description_delivered;
  if (is_out && is_acknowledged(session)) start_sending(session);
}

void Keying::start_sending(Session& session) {
  session.is_description_delivered = true;
  membership_.send(session.member, StartSending{membership_.slot(session.member)});
  std::erase(waiting_, session.id);
}

void Keying::on_tick(Time now) {
  for (const std::uint64_t id : std::vector(waiting_)) {
    Session* session = find_(id);
    if (session == nullptr || session->client == nullptr) {
      std::erase(waiting_, id);
      continue;
    }
    auto& acknowledged_at = session->description_acknowledged_at;
    if (!acknowledged_at && is_acknowledged(*session)) acknowledged_at = now;
    const bool is_settled = acknowledged_at && now - *acknowledged_at >= description_settles;
    if (is_settled && session->phase == Session::Phase::live) start_sending(*session);
  }
}

void Keying::forget(Session& session) {
  if (session.key) keys_.destroy(*session.key);
  session.key.reset();
  std::erase(waiting_, session.id);
}

}  // namespace earshot::control
