// One gateway message from a client, as bytes. Whatever comes, the answer is a message or one of
// three close codes, and what is echoed is one bounded JSON object again.
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
  if (const auto* speaking = std::get_if<Speaking>(&message)) require(speaking->flags <= 0xFF);
  if (const auto* select = std::get_if<SelectProtocol>(&message)) {
    require(!select->address.is_set() || !select->address.ip.is_unspecified());
  }
  return 0;
}
