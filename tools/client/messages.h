// Signalling messages as a client sends and reads them (docs/protocol.md). Any thread; no state.
// Reads leniently: what is missing keeps its default, what is no message at all is nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "relay/base/ids.h"
#include "relay/base/time.h"
#include "tools/client/claims.h"

namespace earshot::client {

// Gateway version of a connection; none: no "v" in the request.
constexpr int version_none = 0;
constexpr int version_seq_ack = 8;

struct HelloMessage {
  Duration heartbeat_interval;
};
struct ReadyMessage {
  Ssrc ssrc;
  std::string ip;
  std::uint16_t port = 0;
  std::vector<std::string> modes;
};
struct SessionDescription {
  std::string mode;
  std::array<std::uint8_t, 32> key{};
  bool has_key = false;
};
struct SpeakingMessage {
  std::string user_id;
  Ssrc ssrc;
  bool is_speaking = false;
};
struct HeartbeatAck {};
struct ResumedMessage {};
struct ClientsConnect {
  std::vector<std::string> user_ids;
};
// Below version 8 a client that connects is told with its SSRC.
struct ClientConnect {
  std::string user_id;
  Ssrc audio_ssrc;
};
struct ClientDisconnect {
  std::string user_id;
};
struct OtherMessage {};

struct Message {
  int op = 0;
  std::optional<std::int64_t> seq;
  std::variant<OtherMessage, HelloMessage, ReadyMessage, SessionDescription, SpeakingMessage,
               HeartbeatAck, ResumedMessage, ClientsConnect, ClientConnect, ClientDisconnect>
      data;
};

std::optional<Message> parse_message(std::string_view text);

std::string make_identify(const TokenClaims& claims, std::string_view token);
// `seq_ack` only from version 8 on.
std::string make_resume(const TokenClaims& claims, std::string_view token,
                        std::optional<std::int64_t> seq_ack);
std::string make_heartbeat(std::int64_t nonce, std::optional<std::int64_t> seq_ack);
std::string make_select_protocol(std::string_view address, std::uint16_t port,
                                 std::string_view mode);
std::string make_speaking(Ssrc ssrc, bool is_speaking);

}  // namespace earshot::client
