#include "tools/client/messages.h"

#include <nlohmann/json.hpp>

namespace earshot::client {
namespace {

using nlohmann::json;

enum Op {
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
  op_client_disconnect = 13
};

std::string read_text(const json& data, const char* name) {
  const auto it = data.find(name);
  return it != data.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// 0 for what is no number or does not fit.
template <typename T>
T read_number(const json& data, const char* name) {
  const auto it = data.find(name);
  if (it == data.end() || !it->is_number_unsigned()) return 0;
  const auto value = it->get<std::uint64_t>();
  return value <= std::numeric_limits<T>::max() ? static_cast<T>(value) : T{0};
}

std::vector<std::string> read_texts(const json& data, const char* name) {
  std::vector<std::string> texts;
  const auto it = data.find(name);
  if (it == data.end() || !it->is_array()) return texts;
  for (const auto& item : *it) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

HelloMessage read_hello(const json& data) {
  // A fraction of a millisecond is allowed by some gateways.
  const auto it = data.find("heartbeat_interval");
  if (it == data.end() || !it->is_number()) return {};
  const double ms = it->get<double>();
  return {ms > 0 && ms < 1e9 ? nanoseconds(static_cast<std::int64_t>(ms * 1e6)) : Duration{}};
}

SessionDescription read_session_description(const json& data) {
  SessionDescription description;
  description.mode = read_text(data, "mode");
  const auto key = data.find("secret_key");
  if (key == data.end() || !key->is_array() || key->size() != description.key.size()) {
    return description;
  }
  for (std::size_t i = 0; i < description.key.size(); ++i) {
    const json& byte = (*key)[i];
    if (!byte.is_number_unsigned() || byte.get<std::uint64_t>() > 255) return description;
    description.key[i] = static_cast<std::uint8_t>(byte.get<std::uint64_t>());
  }
  description.has_key = true;
  return description;
}

// A flag set as a number, a boolean where the connection has no version.
SpeakingMessage read_speaking(const json& data) {
  const auto it = data.find("speaking");
  bool is_speaking = false;
  if (it != data.end() && it->is_boolean()) is_speaking = it->get<bool>();
  if (it != data.end() && it->is_number_unsigned()) is_speaking = it->get<std::uint64_t>() != 0;
  return {read_text(data, "user_id"), {read_number<std::uint32_t>(data, "ssrc")}, is_speaking};
}

void read_data(const json& data, Message& message) {
  switch (message.op) {
    case op_ready:
      message.data = ReadyMessage{{read_number<std::uint32_t>(data, "ssrc")},
                                  read_text(data, "ip"),
                                  read_number<std::uint16_t>(data, "port"),
                                  read_texts(data, "modes")};
      break;
    case op_session_description:
      message.data = read_session_description(data);
      break;
    case op_speaking:
      message.data = read_speaking(data);
      break;
    case op_heartbeat_ack:
      message.data = HeartbeatAck{};
      break;
    case op_hello:
      message.data = read_hello(data);
      break;
    case op_resumed:
      message.data = ResumedMessage{};
      break;
    case op_clients_connect:
      message.data = ClientsConnect{read_texts(data, "user_ids")};
      break;
    case op_client_connect:
      message.data = ClientConnect{read_text(data, "user_id"),
                                   {read_number<std::uint32_t>(data, "audio_ssrc")}};
      break;
    case op_client_disconnect:
      message.data = ClientDisconnect{read_text(data, "user_id")};
      break;
    default:
      break;
  }
}

std::string make(int op, json data) {
  // Replaces what is not UTF-8 instead of throwing; the relay refuses such ids anyway.
  return json{{"op", op}, {"d", std::move(data)}}.dump(-1, ' ', false,
                                                       json::error_handler_t::replace);
}

}  // namespace

std::optional<Message> parse_message(std::string_view text) {
  const json parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  const auto op = parsed.find("op");
  if (op == parsed.end() || !op->is_number_unsigned() || op->get<std::uint64_t>() > 255) {
    return std::nullopt;
  }
  Message message;
  message.op = static_cast<int>(op->get<std::uint64_t>());
  const auto seq = parsed.find("seq");
  if (seq != parsed.end() && seq->is_number_unsigned()) message.seq = seq->get<std::int64_t>();
  const auto data = parsed.find("d");
  read_data(data != parsed.end() && data->is_object() ? *data : json::object(), message);
  return message;
}

std::string make_identify(const TokenClaims& claims, std::string_view token) {
  return make(op_identify, {{"server_id", claims.server_id},
                            {"user_id", claims.user_id},
                            {"session_id", claims.session_id},
                            {"token", token},
                            {"max_dave_protocol_version", 0}});
}

std::string make_resume(const TokenClaims& claims, std::string_view token,
                        std::optional<std::int64_t> seq_ack) {
  json data{{"server_id", claims.server_id}, {"session_id", claims.session_id}, {"token", token}};
  if (seq_ack) data["seq_ack"] = *seq_ack;
  return make(op_resume, std::move(data));
}

std::string make_heartbeat(std::int64_t nonce, std::optional<std::int64_t> seq_ack) {
  if (!seq_ack) return make(op_heartbeat, nonce);
  return make(op_heartbeat, {{"t", nonce}, {"seq_ack", *seq_ack}});
}

std::string make_select_protocol(std::string_view address, std::uint16_t port,
                                 std::string_view mode) {
  return make(
      op_select_protocol,
      {{"protocol", "udp"}, {"data", {{"address", address}, {"port", port}, {"mode", mode}}}});
}

std::string make_speaking(Ssrc ssrc, bool is_speaking) {
  return make(op_speaking, {{"speaking", is_speaking ? 1 : 0}, {"delay", 0}, {"ssrc", ssrc.value}});
}

}  // namespace earshot::client
