#include "relay/gateway/websocket.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <wslay/wslay.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "relay/base/check.h"
#include "relay/gateway/http.h"

namespace earshot::gateway {
namespace {

// RFC 6455 s7.4: what may stand in a close frame.
bool is_wire_close_code(std::uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

// RFC 6455 s5.5: the payload of a control frame.
constexpr std::size_t control_payload_max = 125;

std::size_t header_size(const wslay_frame_iocb& frame) {
  const std::size_t length = frame.payload_length < 126       ? 0
                             : frame.payload_length <= 0xFFFF ? 2
                                                              : 8;
  return 2 + length + (frame.mask != 0 ? 4 : 0);
}

// The longest prefix of at most `size` bytes that does not end inside a character.
std::string_view cut_utf8(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

// Bytes of the character that starts `text`, 0 if it is none (RFC 3629 s4: no surrogates, nothing
// overlong).
std::size_t utf8_character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto is_tail = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return is_tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : 0xBF;
    return byte(1) >= low && byte(1) <= high && is_tail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;
    return byte(1) >= low && byte(1) <= high && is_tail(2) && is_tail(3) ? 4 : 0;
  }
  return 0;
}

std::string to_base64(const unsigned char* bytes, std::size_t size) {
  std::string text((size + 2) / 3 * 4 + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

// 16 bytes in base64.
bool is_websocket_key(std::string_view key) {
  return key.size() == 24 && key.ends_with("==") &&
         std::all_of(key.begin(), key.end() - 2, [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '+' || c == '/';
         });
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = utf8_character_size(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

// --- Reading ------------------------------------------------------------------------------------

void WebSocket::ReaderDeleter::operator()(wslay_frame_context* reader) const {
  wslay_frame_context_free(reader);
}

WebSocket::WebSocket(Role role, std::size_t message_size_max)
    : role_(role), message_size_max_(message_size_max) {}

WebSocket::~WebSocket() = default;

void WebSocket::make_reader() {
  if (reader_) return;
  wslay_frame_callbacks callbacks{};
  callbacks.recv_callback = [](std::uint8_t* to, std::size_t room, int, void* self) {
    return static_cast<WebSocket*>(self)->give_input(to, room);
  };
  wslay_frame_context* reader = nullptr;
  RELAY_CHECK(wslay_frame_context_init(&reader, &callbacks, this) == 0);
  reader_.reset(reader);
  unparsed_bytes_ = 0;
}

std::ptrdiff_t WebSocket::give_input(std::uint8_t* to, std::size_t room) {
  const std::size_t size = std::min(room, input_.size());
  if (size > 0) std::memcpy(to, input_.data(), size);
  input_.remove_prefix(size);
  unparsed_bytes_ += size;
  return static_cast<std::ptrdiff_t>(size);
}

WebSocket::Event WebSocket::receive(std::string_view& bytes, std::string& out) {
  if (is_message_ready_) message_.clear();
  is_message_ready_ = false;
  input_ = bytes;
  Event event = Event::need_more;
  while (event == Event::need_more && !is_finished() && (reader_ || !input_.empty())) {
    make_reader();
    wslay_frame_iocb chunk{};
    const std::ptrdiff_t result = wslay_frame_recv(reader_.get(), &chunk);
    if (result == WSLAY_ERR_WANT_READ) break;
    event = result < 0 ? fail(close_code::protocol_error, out) : on_chunk(chunk, out);
  }
  bytes = is_finished() ? std::string_view{} : input_;
  input_ = {};
  if (event != Event::text && event != Event::binary) release_idle_memory();
  return event;
}

// After the end nothing is read; between frames nothing need be kept.
void WebSocket::release_idle_memory() {
  if (is_finished() || unparsed_bytes_ == 0) reader_.reset();
  if (is_finished() || message_.empty()) std::string().swap(message_);
  if (!is_in_frame_) std::string().swap(control_payload_);
}

WebSocket::Event WebSocket::on_chunk(const wslay_frame_iocb& chunk, std::string& out) {
  const bool is_control = wslay_is_ctrl_frame(chunk.opcode);
  if (!is_in_frame_) {
    const std::uint16_t violation = check_frame(chunk);
    if (violation != 0) return fail(violation, out);
    is_in_frame_ = true;
    frame_received_ = 0;
    if (is_control) {
      control_payload_.clear();
    } else if (chunk.opcode != WSLAY_CONTINUATION_FRAME) {
      message_opcode_ = chunk.opcode;
    }
  }
  // What comes behind our own close frame is read, to find the peer's, but not kept.
  if (is_control || !is_close_sent_) {
    (is_control ? control_payload_ : message_)
        .append(reinterpret_cast<const char*>(chunk.data), chunk.data_length);
  }
  frame_received_ += chunk.data_length;
  if (frame_received_ < chunk.payload_length) return Event::need_more;
  is_in_frame_ = false;
  unparsed_bytes_ -= header_size(chunk) + chunk.payload_length;
  return is_control ? on_control_frame(chunk.opcode, out) : on_data_frame(chunk.fin != 0, out);
}

// RFC 6455 s5.2 and s5.4; wslay itself checks the lengths' encoding, and that control frames are
// short and whole.
std::uint16_t WebSocket::check_frame(const wslay_frame_iocb& chunk) const {
  if (chunk.rsv != 0) return close_code::protocol_error;
  if ((chunk.mask != 0) != (role_ == Role::server)) return close_code::protocol_error;
  switch (chunk.opcode) {
    case WSLAY_PING:
    case WSLAY_PONG:
    case WSLAY_CONNECTION_CLOSE:
      return 0;
    case WSLAY_CONTINUATION_FRAME:
      if (message_opcode_ == 0) return close_code::protocol_error;
      break;
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
      if (message_opcode_ != 0) return close_code::protocol_error;
      break;
    default:
      return close_code::protocol_error;
  }
  return chunk.payload_length > message_size_max_ - message_.size() ? close_code::too_big : 0;
}

WebSocket::Event WebSocket::on_data_frame(bool is_final, std::string& out) {
  if (!is_final) {
    ++auxiliary_frames_;
    return Event::need_more;
  }
  const bool is_text = message_opcode_ == WSLAY_TEXT_FRAME;
  message_opcode_ = 0;
  if (is_close_sent_) return Event::need_more;
  if (is_text && !is_utf8(message_)) return fail(close_code::not_utf8, out);
  is_message_ready_ = true;
  return is_text ? Event::text : Event::binary;
}

WebSocket::Event WebSocket::on_control_frame(std::uint8_t opcode, std::string& out) {
  if (opcode == WSLAY_CONNECTION_CLOSE) return on_close_frame(out);
  ++auxiliary_frames_;
  if (opcode == WSLAY_PING) send_frame(WSLAY_PONG, control_payload_, out);
  return Event::need_more;
}

// RFC 6455 s5.5.1: answered with its own code.
WebSocket::Event WebSocket::on_close_frame(std::string& out) {
  const std::string_view payload = control_payload_;
  std::uint16_t code = close_code::none;
  if (payload.size() == 1) return fail(close_code::protocol_error, out);
  if (payload.size() >= 2) {
    code = static_cast<std::uint16_t>(static_cast<unsigned char>(payload[0]) << 8 |
                                      static_cast<unsigned char>(payload[1]));
    if (!is_wire_close_code(code)) return fail(close_code::protocol_error, out);
    if (!is_utf8(payload.substr(2))) return fail(close_code::not_utf8, out);
    peer_close_reason_ = payload.substr(2);
  }
  is_close_received_ = true;
  peer_close_code_ = code;
  close(code == close_code::none ? 0 : code, {}, out);
  return Event::closed;
}

WebSocket::Event WebSocket::fail(std::uint16_t code, std::string& out) {
  failure_code_ = code;
  close(code, {}, out);
  return Event::failed;
}

// --- Writing ------------------------------------------------------------------------------------

void WebSocket::send_text(std::string_view message, std::string& out) {
  send_frame(WSLAY_TEXT_FRAME, message, out);
}

void WebSocket::send_binary(std::string_view message, std::string& out) {
  send_frame(WSLAY_BINARY_FRAME, message, out);
}

void WebSocket::send_ping(std::string_view payload, std::string& out) {
  RELAY_CHECK(payload.size() <= control_payload_max);
  send_frame(WSLAY_PING, payload, out);
}

void WebSocket::close(std::uint16_t code, std::string_view reason, std::string& out) {
  std::string payload;
  if (code != 0) {
    payload.push_back(static_cast<char>(code >> 8));
    payload.push_back(static_cast<char>(code & 0xFF));
    payload.append(cut_utf8(reason, control_payload_max - payload.size()));
  }
  send_frame(WSLAY_CONNECTION_CLOSE, payload, out);
  is_close_sent_ = true;
}

// RFC 6455 s5.2. Always one whole frame.
void WebSocket::send_frame(std::uint8_t opcode, std::string_view payload, std::string& out) {
  if (is_close_sent_) return;
  const auto append_byte = [&](std::uint64_t byte) {
    out.push_back(static_cast<char>(byte & 0xFF));
  };
  const unsigned mask_bit = role_ == Role::client ? 0x80 : 0;
  append_byte(0x80u | opcode);
  if (payload.size() < 126) {
    append_byte(mask_bit | payload.size());
  } else if (payload.size() <= 0xFFFF) {
    append_byte(mask_bit | 126);
    for (int shift = 8; shift >= 0; shift -= 8) append_byte(payload.size() >> shift);
  } else {
    append_byte(mask_bit | 127);
    for (int shift = 56; shift >= 0; shift -= 8) append_byte(payload.size() >> shift);
  }
  if (mask_bit == 0) {
    out.append(payload);
    return;
  }
  // s5.3: a mask that the application cannot foresee.
  std::array<unsigned char, 4> mask;
  RELAY_CHECK(RAND_bytes(mask.data(), mask.size()) == 1);
  for (const unsigned char byte : mask) append_byte(byte);
  for (std::size_t i = 0; i < payload.size(); ++i)
    append_byte(static_cast<unsigned char>(payload[i]) ^ mask[i % 4]);
}

// --- Opening handshake --------------------------------------------------------------------------

std::string websocket_accept(std::string_view key) {
  std::string text(key);
  text.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  RELAY_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
  return to_base64(digest.data(), size);
}

std::string make_websocket_key() {
  std::array<unsigned char, 16> bytes;
  RELAY_CHECK(RAND_bytes(bytes.data(), bytes.size()) == 1);
  return to_base64(bytes.data(), bytes.size());
}

UpgradeVerdict check_upgrade(const HttpRequest& request) {
  const auto count = [&](std::string_view name) {
    return std::count_if(request.headers.begin(), request.headers.end(),
                         [&](const auto& field) { return field.first == name; });
  };
  const auto refuse = [](int status, std::string_view text) {
    const std::string_view code = status == 426 ? "upgrade-required" : "bad-request";
    return UpgradeVerdict{{}, problem_response(status, code, text)};
  };
  if (request.method != "GET") return refuse(400, "a WebSocket opens with GET");
  const bool has_connection =
      std::any_of(request.headers.begin(), request.headers.end(), [](const auto& field) {
        return field.first == "connection" && has_token(field.second, "upgrade");
      });
  if (!has_connection) return refuse(400, "Connection: Upgrade is missing");
  if (count("sec-websocket-version") != 1 || request.header("sec-websocket-version") != "13") {
    UpgradeVerdict verdict = refuse(426, "only WebSocket version 13 is spoken here");
    verdict.refusal->headers = {
        {"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Version", "13"}};
    return verdict;
  }
  const std::string_view key = request.header("sec-websocket-key");
  if (count("sec-websocket-key") != 1 || !is_websocket_key(key))
    return refuse(400, "Sec-WebSocket-Key is not valid");
  return UpgradeVerdict{websocket_accept(key), {}};
}

std::string write_upgrade_response(std::string_view accept) {
  std::string text =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
      "Upgrade\r\nSec-WebSocket-Accept: ";
  return text.append(accept).append("\r\n\r\n");
}

}  // namespace earshot::gateway
