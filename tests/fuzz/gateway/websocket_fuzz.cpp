// Arbitrary bytes, split arbitrarily, into the WebSocket layer of either role.
// Input: mode byte (bit 0: client role, bit 1: bytes describe frames, the rest: how to split), then
// the bytes. A described frame is: first byte, length, run (the last payload byte once more, run *
// 128 times), payload; masked as its role needs.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/check.h"
#include "relay/gateway/websocket.h"

using namespace earshot;
using namespace earshot::gateway;

namespace {

// Small, so that short inputs reach it.
constexpr std::size_t message_size_max = 1'024;

void append_frame(std::string& out, unsigned first, const std::string& payload, bool is_masked) {
  const auto append = [&](std::size_t byte) { out.push_back(static_cast<char>(byte & 0xFF)); };
  const unsigned mask_bit = is_masked ? 0x80 : 0;
  append(first);
  if (payload.size() < 126) {
    append(payload.size() | mask_bit);
  } else if (payload.size() < 65'536) {
    append(126 | mask_bit);
    append(payload.size() >> 8);
    append(payload.size());
  } else {
    append(127 | mask_bit);
    for (int shift = 56; shift >= 0; shift -= 8) append(payload.size() >> shift);
  }
  const unsigned char mask[4] = {0x37, 0xFA, 0x21, 0x3D};
  if (is_masked) out.append(reinterpret_cast<const char*>(mask), 4);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    append(static_cast<unsigned char>(payload[i]) ^ (is_masked ? mask[i % 4] : 0u));
  }
}

std::string build_frames(std::string_view bytes, bool is_masked) {
  std::string out;
  while (bytes.size() >= 3 && out.size() < 8'192) {
    const auto first = static_cast<unsigned char>(bytes[0]);
    const std::size_t length =
        std::min<std::size_t>(static_cast<unsigned char>(bytes[1]), bytes.size() - 3);
    const std::size_t run = static_cast<unsigned char>(bytes[2]) * std::size_t{8};
    std::string payload(bytes.substr(3, length));
    payload.append(run, payload.empty() ? 'r' : payload.back());
    append_frame(out, first, payload, is_masked);
    bytes.remove_prefix(3 + length);
  }
  return out;
}

// What one side writes the other reads: nothing is wrong with it, and the echoed messages are the
// same. Masks are random, so compare what is understood.
std::string read_answer(WebSocket::Role reader_role, const std::string& sent,
                        const std::vector<std::string>& echoes) {
  WebSocket reader(reader_role);
  std::string answer;
  std::string_view bytes = sent;
  std::string log;
  std::size_t echoes_count = 0;
  for (;;) {
    const WebSocket::Event event = reader.receive(bytes, answer);
    RELAY_CHECK(event != WebSocket::Event::failed);
    if (event == WebSocket::Event::need_more) break;
    if (event == WebSocket::Event::closed) {
      log += " closed " + std::to_string(reader.peer_close_code()) + reader.peer_close_reason();
      RELAY_CHECK(is_utf8(reader.peer_close_reason()));
    } else {
      RELAY_CHECK(echoes_count < echoes.size() && reader.message() == echoes[echoes_count]);
      ++echoes_count;
    }
  }
  RELAY_CHECK(echoes_count == echoes.size());
  return log + " auxiliary " + std::to_string(reader.auxiliary_frames()) + " size " +
         std::to_string(sent.size());
}

std::string run(WebSocket::Role role, std::string_view bytes, std::uint32_t seed,
                bool closes_early) {
  WebSocket socket(role, message_size_max);
  std::string sent;
  std::string log;
  std::vector<std::string> echoes;
  std::string reason;
  if (closes_early) socket.close(1001, "the node stops", sent);
  while (!bytes.empty()) {
    std::size_t size = bytes.size();
    if (seed != 0) {
      seed = seed * 1'664'525 + 1'013'904'223;
      size = std::min<std::size_t>(size, 1 + (seed >> 24) % (size > 512 ? 499 : 13));
    }
    std::string_view piece = bytes.substr(0, size);
    bytes.remove_prefix(size);
    for (;;) {
      const WebSocket::Event event = socket.receive(piece, sent);
      if (event == WebSocket::Event::need_more) break;
      const std::string& message = socket.message();
      RELAY_CHECK(message.size() <= message_size_max);
      log += std::to_string(static_cast<int>(event)) + ":" + message + "\n";
      if (event == WebSocket::Event::text) {
        RELAY_CHECK(is_utf8(message) && !socket.is_close_sent());
        socket.send_text(message, sent);
        echoes.push_back(message);
        reason = message;
      }
      if (event == WebSocket::Event::binary) {
        RELAY_CHECK(!socket.is_close_sent());
        socket.send_binary(message, sent);
        socket.send_ping(message.substr(0, 125), sent);
        echoes.push_back(message);
      }
      if (event == WebSocket::Event::failed) RELAY_CHECK(socket.failure_code() != 0);
    }
    RELAY_CHECK(piece.empty());
  }
  socket.close(4000, reason, sent);
  log += " code " + std::to_string(socket.peer_close_code()) + socket.peer_close_reason() +
         " failure " + std::to_string(socket.failure_code());
  const auto other =
      role == WebSocket::Role::server ? WebSocket::Role::client : WebSocket::Role::server;
  return log + read_answer(other, sent, echoes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto role = (data[0] & 1) != 0 ? WebSocket::Role::client : WebSocket::Role::server;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 2) != 0) bytes = build_frames(bytes, role == WebSocket::Role::server);
  const bool closes_early = (data[0] & 4) != 0;
  const std::uint32_t seed = 1 + (data[0] >> 3);
  RELAY_CHECK(run(role, bytes, 0, closes_early) == run(role, bytes, seed, closes_early));
  return 0;
}
