// The voice gateway's messages as structs: client text in, server text out. Any thread; no state.
// Where protocol versions differ the version is an argument: 4 to 8, or 0 for a connection that
// named none, which is treated as 4 except that op 5 carries `speaking` as a boolean
// (docs/protocol.md, "Signalling").
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "crypto/aead.h"
#include "relay/base/address.h"
#include "relay/base/ids.h"
#include "relay/base/time.h"

namespace earshot::gateway {

enum class CloseCode : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  unknown_opcode = 4001,
  decode_error = 4002,
  not_authenticated = 4003,
  authentication_failed = 4004,
  already_authenticated = 4005,
  session_invalid = 4006,
  session_timeout = 4009,
  unknown_protocol = 4012,
  disconnected = 4014,
  unknown_mode = 4016,
  e2ee_required = 4017,
  bad_request = 4020,
  rate_limited = 4021,
  channel_closed = 4022,
};

struct Identify {
  std::string server_id;
  std::string user_id;
  std::string session_id;
  std::string token;
};
struct SelectProtocol {
  std::string protocol;
  std::string mode;
  // As declared; unset where the text is no address or the port no port.
  Endpoint address;
};
struct Heartbeat {
  std::string nonce;  // the JSON text of the number (or string) to echo
  bool is_object = false;
  std::optional<std::int64_t> seq_ack;
};
struct Resume {
  std::string server_id;
  std::string session_id;
  std::string token;
  std::optional<std::int64_t> seq_ack;
};
struct Speaking {
  std::uint32_t flags = 0;  // 1 microphone, 2 soundshare, 4 priority
};
// Known, and of no consequence here: op 12 and the end-to-end encryption opcodes.
struct Ignored {
  int opcode = 0;
};

using ClientMessage = std::variant<Identify, SelectProtocol, Heartbeat, Resume, Speaking, Ignored>;
// A message, or the code to close with: no JSON, or a member of another type 4002; unknown opcode
// 4001; otherwise malformed (a member is missing or out of range) 4020.
using ParsedMessage = std::variant<ClientMessage, CloseCode>;

ParsedMessage parse_client_message(std::string_view text);

// --- Server messages: the text of one JSON object -----------------------------------------------

std::string hello_message(int version, Duration heartbeat_interval);
struct ReadyInfo {
  Ssrc ssrc;
  IpAddress ip;
  std::uint16_t port = 0;
  std::span<const crypto::AeadMode> modes;  // in order of preference
  Duration heartbeat_interval;
};
std::string ready_message(const ReadyInfo& info);
// Holds the key: never logged, never buffered for a resume.
std::string session_description_message(crypto::AeadMode mode,
                                        std::span<const std::uint8_t, crypto::key_size> key);
std::string heartbeat_ack_message(const Heartbeat& heartbeat);
std::string resumed_message();
std::string speaking_message(int version, std::string_view user_id, Ssrc ssrc, std::uint32_t flags);
// v8: who else is in the channel.
std::string clients_connect_message(std::span<const std::string> user_ids);
// v4 to v7: one participant and its SSRC.
std::string client_connect_message(std::string_view user_id, Ssrc ssrc);
std::string client_disconnect_message(std::string_view user_id);

// Puts `seq` (1 to 65,535) into a message made above.
std::string with_sequence(std::string_view message, std::uint16_t sequence);

}  // namespace earshot::gateway
