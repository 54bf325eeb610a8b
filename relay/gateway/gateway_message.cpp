#include "relay/gateway/gateway_message.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "relay/base/check.h"
#include "relay/base/limits.h"
#include "relay/gateway/json.h"

namespace earshot::gateway {
namespace {

using nlohmann::json;

enum Opcode : int {
  op_identify = 0,
  op_select_protocol = 1,
  op_ready = 2,
  op_heartbeat = 3,
  op_session_description = 4,
  op_speaking = 5,
  op_heartbeat_ack = 6,
  op_resume = 7,
  op_hello = 8,
  op_resumed = 9,
  op_clients_connect = 11,
  op_client_connect = 12,
  op_client_disconnect = 13,
};

// A heartbeat's body comes back as it was; one that is no time stamp need not be longer.
constexpr std::size_t heartbeat_nonce_size_max = 64;

// Opcodes that clients may send and that change nothing: video (12, 14), flags and platform (18,
// 20), and the end-to-end encryption handshake (21 to 31), which is not offered.
bool is_ignored(std::int64_t opcode) {
  return opcode == op_client_connect || (opcode >= 14 && opcode <= 20) ||
         (opcode >= 21 && opcode <= 31);
}

// Reads the members of one payload. A missing one makes the payload malformed (4020), one of
// another type is a type error (4002); the first failure stays.
class Reader {
 public:
  explicit Reader(const json& object) : object_(object) {}

  std::string text(const char* name) {
    if (auto value = string_member(object_, name)) return std::move(*value);
    fail(name);
    return {};
  }
  // Ids are strings; some libraries send snowflakes as numbers.
  std::string id(const char* name) {
    const auto number = integer_member(object_, name);
    return number && *number >= 0 ? std::to_string(*number) : text(name);
  }
  // `message` if all of it could be read.
  template <typename Message>
  ParsedMessage result(Message message) const {
    if (error_) return *error_;
    return ClientMessage{std::move(message)};
  }

 private:
  void fail(const char* name) {
    if (error_) return;
    error_ = object_.contains(name) ? CloseCode::decode_error : CloseCode::bad_request;
  }

  const json& object_;
  std::optional<CloseCode> error_;
};

ParsedMessage parse_identify(const json& d) {
  Reader read(d);
  Identify message;
  message.server_id = read.id("server_id");
  message.user_id = read.id("user_id");
  message.session_id = read.text("session_id");
  message.token = read.text("token");
  return read.result(std::move(message));
}

ParsedMessage parse_resume(const json& d) {
  Reader read(d);
  Resume message;
  message.server_id = read.id("server_id");
  message.session_id = read.text("session_id");
  message.token = read.text("token");
  message.seq_ack = integer_member(d, "seq_ack");
  return read.result(std::move(message));
}

ParsedMessage parse_select_protocol(const json& d) {
  Reader read(d);
  SelectProtocol message;
  message.protocol = read.text("protocol");
  if (message.protocol != "udp") return read.result(std::move(message));
  // Newer clients nest the three under `data`; very old ones put them beside it.
  const auto data = d.find("data");
  const json& fields = data != d.end() && data->is_object() ? *data : d;
  Reader read_fields(fields);
  message.mode = read_fields.text("mode");
  const auto address = string_member(fields, "address");
  const auto port = integer_member(fields, "port");
  const auto ip = address ? IpAddress::parse(*address) : std::nullopt;
  if (ip && !ip->is_unspecified() && port && *port > 0 && *port <= 65'535) {
    message.address = {*ip, static_cast<std::uint16_t>(*port)};
  }
  return read_fields.result(std::move(message));
}

ParsedMessage parse_heartbeat(const json& message) {
  const auto d = message.find("d");
  if (d == message.end()) return ClientMessage{Heartbeat{"null", false, std::nullopt}};
  Heartbeat heartbeat;
  heartbeat.is_object = d->is_object();
  const json nonce = heartbeat.is_object ? d->value("t", json()) : *d;
  if (!nonce.is_number() && !nonce.is_null() && !nonce.is_string()) {
    return CloseCode::decode_error;
  }
  if (nonce.is_string() && nonce.get_ref<const std::string&>().size() > heartbeat_nonce_size_max) {
    return CloseCode::bad_request;
  }
  heartbeat.nonce = nonce.dump(-1, ' ', false, json::error_handler_t::replace);
  if (heartbeat.is_object) heartbeat.seq_ack = integer_member(*d, "seq_ack");
  return ClientMessage{std::move(heartbeat)};
}

ParsedMessage parse_speaking(const json& d) {
  const auto found = d.find("speaking");
  if (found == d.end()) return CloseCode::bad_request;
  if (found->is_boolean()) return ClientMessage{Speaking{found->get<bool>() ? 1u : 0u}};
  if (!found->is_number()) return CloseCode::decode_error;
  const auto flags = integer_member(d, "speaking");
  if (!flags || *flags < 0 || *flags > 0xFF) return CloseCode::bad_request;
  return ClientMessage{Speaking{static_cast<std::uint32_t>(*flags)}};
}

// Op 4 with the longest name of a mode and 32 numbers of three digits.
constexpr std::size_t session_description_size_max = 256;

std::string message(int opcode, json d) {
  return json{{"op", opcode}, {"d", std::move(d)}}.dump(-1, ' ', false,
                                                        json::error_handler_t::replace);
}

}  // namespace

ParsedMessage parse_client_message(std::string_view text) {
  const auto parsed = parse_json(text, limits::message_size_max);
  if (!parsed || !parsed->is_object()) return CloseCode::decode_error;
  const auto opcode = integer_member(*parsed, "op");
  if (!opcode) return CloseCode::decode_error;
  if (*opcode == op_heartbeat) return parse_heartbeat(*parsed);
  if (is_ignored(*opcode)) return ClientMessage{Ignored{static_cast<int>(*opcode)}};
  const bool is_known = *opcode == op_identify || *opcode == op_select_protocol ||
                        *opcode == op_resume || *opcode == op_speaking;
  if (!is_known) return CloseCode::unknown_opcode;
  const auto d = parsed->find("d");
  if (d == parsed->end()) return CloseCode::bad_request;
  if (!d->is_object()) return CloseCode::decode_error;
  switch (*opcode) {
    case op_identify:
      return parse_identify(*d);
    case op_select_protocol:
      return parse_select_protocol(*d);
    case op_resume:
      return parse_resume(*d);
    default:
      return parse_speaking(*d);
  }
}

std::string hello_message(int version, Duration heartbeat_interval) {
  return message(op_hello, {{"v", version == 0 ? 4 : version},
                            {"heartbeat_interval", heartbeat_interval.ms()}});
}

std::string ready_message(const ReadyInfo& info) {
  json modes = json::array();
  for (const crypto::AeadMode mode : info.modes) modes.push_back(crypto::name(mode));
  return message(op_ready, {{"ssrc", info.ssrc.value},
                            {"ip", info.ip.to_string()},
                            {"port", info.port},
                            {"modes", std::move(modes)},
                            {"experiments", json::array()},
                            {"heartbeat_interval", info.heartbeat_interval.ms()}});
}

std::string session_description_message(crypto::AeadMode mode,
                                        std::span<const std::uint8_t, crypto::key_size> key) {
  // By hand and in one piece: a JSON value would leave the key behind in memory that is free again.
  std::string text;
  text.reserve(session_description_size_max);
  text.append(R"({"op":4,"d":{"audio_codec":"opus","dave_protocol_version":0,"mode":")")
      .append(crypto::name(mode))
      .append(R"(","secret_key":[)");
  for (const std::uint8_t byte : key) {
    if (byte >= 100) text += static_cast<char>('0' + byte / 100);
    if (byte >= 10) text += static_cast<char>('0' + byte / 10 % 10);
    text += static_cast<char>('0' + byte % 10);
    text += ',';
  }
  text.back() = ']';
  text.append("}}");
  RELAY_CHECK(text.capacity() == session_description_size_max);
  return text;
}

std::string heartbeat_ack_message(const Heartbeat& heartbeat) {
  // The nonce is JSON text that parse_heartbeat has printed itself.
  if (heartbeat.is_object) return R"({"op":6,"d":{"t":)" + heartbeat.nonce + "}}";
  return R"({"op":6,"d":)" + heartbeat.nonce + "}";
}

std::string resumed_message() {
  return message(op_resumed, nullptr);
}

std::string speaking_message(int version, std::string_view user_id, Ssrc ssrc,
                             std::uint32_t flags) {
  json d{{"user_id", user_id}, {"ssrc", ssrc.value}};
  if (version == 0) {
    d["speaking"] = flags != 0;
  } else {
    d["speaking"] = flags;
  }
  return message(op_speaking, std::move(d));
}

std::string clients_connect_message(std::span<const std::string> user_ids) {
  return message(op_clients_connect,
                 {{"user_ids", std::vector<std::string>(user_ids.begin(), user_ids.end())}});
}

std::string client_connect_message(std::string_view user_id, Ssrc ssrc) {
  return message(op_client_connect,
                 {{"user_id", user_id}, {"audio_ssrc", ssrc.value}, {"video_ssrc", 0}});
}

std::string client_disconnect_message(std::string_view user_id) {
  return message(op_client_disconnect, {{"user_id", user_id}});
}

std::string with_sequence(std::string_view text, std::uint16_t sequence) {
  // In one piece, as it may hold a key.
  std::string result;
  result.reserve(text.size() + std::string_view(",\"seq\":65535").size());
  result.append(text.substr(0, text.size() - 1)).append(",\"seq\":");
  return result.append(std::to_string(sequence)).append("}");
}

}  // namespace earshot::gateway
