// One signalling session as the controller keeps it: who it is, where its media goes, and what its
// client must not miss. Controller thread. A session outlives its connection: it can be resumed
// until its time is up.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/keys.h"
#include "relay/control/membership.h"
#include "relay/gateway/connection.h"
#include "relay/gateway/gateway_session.h"
#include "relay/gateway/resume_buffer.h"
#include "relay/gateway/token.h"

namespace earshot::control {

struct Session;

// A WebSocket and the rules it is under; `session` once it has identified or resumed.
struct Client {
  Client(gateway::Connection& c, std::optional<int> version, Time now)
      : connection(c), rules(version, now) {}
  gateway::Connection& connection;
  gateway::GatewaySession rules;
  Session* session = nullptr;
  std::uint64_t id = 0;
};

using TokenHash = std::array<std::uint8_t, 32>;

struct Session {
  enum class Phase : std::uint8_t { opening, ready, keying, live, ending };

  std::uint64_t id = 0;  // of this node, never reused
  gateway::Claims claims;
  TokenHash token_hash{};
  int version = 8;
  Phase phase = Phase::opening;
  Client* client = nullptr;  // nullptr while it waits to be resumed
  MemberId member = 0;
  Ssrc ssrc;
  IpAddress signalling_peer;
  Time detached_at;
  Time attached_at;

  crypto::Key key;
  crypto::AeadMode mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  bool has_key = false;
  bool is_description_sent = false;  // op 4 is out
  bool is_description_delivered =
      false;  // and has left our send queue, or the client has answered since

  bool has_spoken = false;  // an op 5 of its own, or audio
  std::uint32_t speaking_flags = 0;
  gateway::ResumeBuffer buffer;  // v8
  // Below v8: who left since the heartbeat before the last one.
  std::vector<std::string> left_recently;
  std::vector<std::string> left_before;

  ChannelKey channel() const { return {claims.server_id, claims.channel_id}; }
};

}  // namespace earshot::control
