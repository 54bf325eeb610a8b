// One gateway message from a client, as bytes. Whatever comes, the answer is a message or one of
// three close codes, what is echoed is one bounded JSON object again, and what the relay would say
// next carries the same values.
#include <array>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "relay/base/limits.h"
#include "relay/gateway/gateway_message.h"

using namespace earshot;
using namespace earshot::gateway;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_echo(const Heartbeat& heartbeat) {
  const auto ack = nlohmann::json::parse(heartbeat_ack_message(heartbeat), nullptr, false);
  require(ack.is_object() && ack.size() == 2 && ack["op"] == 6);
  require(ack["d"].is_object() == heartbeat.is_object);
  // 64 bytes of text, each at most six in JSON (\u00XX), and the quotes.
  require(heartbeat.nonce.size() <= 6 * 64 + 2);
}

// One JSON object with this opcode; `d` is handed back.
nlohmann::json body_of(const std::string& text, int opcode) {
  const auto message = nlohmann::json::parse(text, nullptr, false);
  require(message.is_object() && message.size() == 2 && message["op"] == opcode);
  // Numbered it is the same object, and has its number.
  auto numbered = nlohmann::json::parse(with_sequence(text, 65'535), nullptr, false);
  require(numbered.is_object() && numbered.size() == 3 && numbered["seq"] == 65'535);
  numbered.erase("seq");
  require(numbered == message);
  return message["d"];
}

// What others are told of this participant names it by the same text.
void check_told(const std::string& user_id, Ssrc ssrc) {
  const auto connected = body_of(client_connect_message(user_id, ssrc), 12);
  require(connected["user_id"] == user_id && connected["audio_ssrc"] == ssrc.value);
  require(body_of(client_disconnect_message(user_id), 13)["user_id"] == user_id);
  const std::vector<std::string> ids{user_id, "2", user_id};
  require(body_of(clients_connect_message(ids), 11)["user_ids"] == ids);
}

// Our op 5 is one that we would understand ourselves.
void check_speaking(const Speaking& speaking, Ssrc ssrc) {
  for (const int version : {0, 4, 8}) {
    const std::string text = speaking_message(version, "1", ssrc, speaking.flags);
    const auto d = body_of(text, 5);
    require(d["user_id"].is_string() && d["ssrc"].is_number() && d["ssrc"] == ssrc.value);
    require(d["speaking"].is_boolean() == (version == 0));
    const ParsedMessage again = parse_client_message(text);
    const auto* heard = std::get_if<Speaking>(std::get_if<ClientMessage>(&again));
    require(heard != nullptr);
    require(heard->flags == (version == 0 ? (speaking.flags != 0 ? 1u : 0u) : speaking.flags));
  }
}

// Ready and Session Description carry what they were given.
void check_offer(const SelectProtocol& select, Ssrc ssrc) {
  const crypto::AeadMode modes[] = {crypto::AeadMode::aes256_gcm_rtpsize,
                                    crypto::AeadMode::xchacha20_poly1305_rtpsize};
  const auto ready =
      body_of(ready_message({ssrc, select.address.ip, select.address.port, modes, seconds(41)}), 2);
  require(ready["ssrc"] == ssrc.value && ready["port"] == select.address.port);
  require(IpAddress::parse(ready["ip"].get<std::string>()) == select.address.ip);
  require(ready["modes"].size() == 2 && ready["heartbeat_interval"] == 41'000);
  const auto mode = crypto::parse_aead_mode(select.mode);
  if (!mode) return;
  std::array<std::uint8_t, crypto::key_size> key;
  for (std::size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<std::uint8_t>(select.address.port * (i + 1));
  }
  const auto description = body_of(session_description_message(*mode, key), 4);
  require(description["mode"] == select.mode && description["dave_protocol_version"] == 0);
  require(description["secret_key"] == key);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ParsedMessage parsed = parse_client_message(text);
  if (const auto* code = std::get_if<CloseCode>(&parsed)) {
    require(*code == CloseCode::decode_error || *code == CloseCode::unknown_opcode ||
            *code == CloseCode::bad_request);
    return 0;
  }
  require(size <= limits::message_size_max);
  const auto& message = std::get<ClientMessage>(parsed);
  if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) check_echo(*heartbeat);
  const Ssrc ssrc{static_cast<std::uint32_t>(size * 2'654'435'761u)};
  if (const auto* identify = std::get_if<Identify>(&message)) check_told(identify->user_id, ssrc);
  if (std::holds_alternative<Resume>(message))
    require(body_of(resumed_message(), 9).is_null() &&
            body_of(hello_message(8, seconds(1)), 8)["v"] == 8);
  if (const auto* speaking = std::get_if<Speaking>(&message)) {
    require(speaking->flags <= 0xFF);
    check_speaking(*speaking, ssrc);
  }
  if (const auto* select = std::get_if<SelectProtocol>(&message)) {
    require(!select->address.is_set() || !select->address.ip.is_unspecified());
    check_offer(*select, ssrc);
  }
  return 0;
}
