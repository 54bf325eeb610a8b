// One signalling session as the controller keeps it: who it is, where its media goes, and what its
// client must not miss. Controller thread. A session outlives its connection: it can be resumed
// until its time is up.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "crypto/aead.h"
#include "relay/control/membership.h"
#include "relay/control/token_memory.h"
#include "relay/gateway/connection.h"
#include "relay/gateway/gateway_session.h"
#include "relay/gateway/resume_buffer.h"
#include "relay/gateway/token.h"

namespace earshot::control {

struct Session;

// A WebSocket and the rules it is under.
struct Client {
  Client(std::uint64_t i, gateway::Connection& c, std::optional<int> version, Time now)
      : id(i), connection(c), rules(version, now) {}

  std::uint64_t id;
  gateway::Connection& connection;
  gateway::GatewaySession rules;
  Session* session = nullptr;  // once it has identified or resumed
  bool is_identified = false;  // no longer counted among the unidentified of its address
};

struct Session {
  enum class Phase : std::uint8_t {
    opening,  // the slot is being opened
    ready,    // Ready is sent
    keying,   // the key is on its way to the worker
    live,     // Session Description (op 4) is sent
  };

  std::uint64_t id = 0;  // of this node, never reused
  gateway::Claims claims;
  TokenHash token_hash{};
  int version = 8;
  Phase phase = Phase::opening;
  Client* client = nullptr;  // nullptr while it waits to be resumed
  MemberId member = 0;       // 0 until it has a slot
  Ssrc ssrc;
  IpAddress signalling_peer;
  Time opened_at;
  Time attached_at;
  Time detached_at;

  std::optional<std::uint32_t> key;  // its place in the key store
  crypto::AeadMode mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  std::optional<gateway::SelectProtocol> next_select;  // came while the key was on its way
  std::uint64_t description_position = 0;              // of the end of op 4 in its connection
  std::optional<Time> description_acknowledged_at;     // by the peer's TCP
  bool is_description_delivered = false;               // a latch: media may go out
  bool is_joined = false;                              // a latch: op 4 was sent once

  IpAddress media_ip;  // where its media goes; unspecified until that is known
  // The application has sent its user elsewhere: when it ends at the latest, and where to.
  std::optional<Time> moves_at;
  std::string moves_to;

  Time keep_alive_seen;          // its last keep-alive as of the last look
  Duration keep_alive_interval;  // between the last two

  std::uint32_t speaking_flags = 0;
  // How many of its channel's participants, in the order of entering, it has been introduced to so
  // far; nothing once it knows them all, and hears of every change (the roster's).
  std::optional<std::size_t> introduced_count;
  bool is_introduced_anew = false;  // it may know some of the others from before
  gateway::ResumeBuffer buffer;     // from v8 on
  // Who has left since the heartbeat before the last one, for a client that names no number.
  std::set<std::string> left_recently;
  std::set<std::string> left_before;

  ChannelKey channel() const { return {claims.server_id, claims.channel_id}; }
};

}  // namespace earshot::control
