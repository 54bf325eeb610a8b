// WebSocket framing without a socket (RFC 6455), server and client role, on wslay's frame reader;
// and the server's half of the opening handshake. Any one thread. No extension is ever negotiated:
// clients that offer permessage-deflate work without.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "relay/base/limits.h"
#include "relay/gateway/connection.h"

struct wslay_frame_context;
struct wslay_frame_iocb;

namespace earshot::gateway {

// RFC 6455 s7.4.1.
namespace close_code {
inline constexpr std::uint16_t normal = 1000;
inline constexpr std::uint16_t going_away = 1001;
inline constexpr std::uint16_t protocol_error = 1002;
inline constexpr std::uint16_t none = 1005;      // never on the wire: the close frame was empty
inline constexpr std::uint16_t abnormal = 1006;  // never on the wire: there was no close frame
inline constexpr std::uint16_t not_utf8 = 1007;
inline constexpr std::uint16_t policy = 1008;
inline constexpr std::uint16_t too_big = 1009;
}  // namespace close_code

class WebSocket {
 public:
  enum class Role : std::uint8_t { server, client };
  enum class Event : std::uint8_t {
    need_more,  // all bytes were taken
    text,       // message(); valid UTF-8
    binary,     // message()
    closed,     // the peer's close frame came: close_code(), close_reason(); the answer is in `out`
                // unless we closed first
    failed,  // the peer broke the protocol: a close frame with failure_code() is in `out`; nothing
             // more can be read
  };

  explicit WebSocket(Role role, std::size_t message_size_max = limits::message_size_max);
  ~WebSocket();
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  // Takes bytes from the front of `bytes` and returns at the first event; call it again until
  // need_more, closed or failed, even when `bytes` is empty. Frames for the peer (pong, close) are
  // appended to `out`. Messages that come after our own close frame are dropped.
  Event receive(std::string_view& bytes, std::string& out);
  // The last text or binary message, until the next receive().
  const std::string& message() const { return message_; }

  // One frame each, appended to `out`. Nothing once a close frame was sent.
  void send_text(std::string_view message, std::string& out);
  void send_binary(std::string_view message, std::string& out);
  void send_ping(std::string_view payload, std::string& out);
  // `code` 0: an empty close frame. `reason` is cut to 123 bytes, at a character.
  void close(std::uint16_t code, std::string_view reason, std::string& out);

  bool is_close_sent() const { return is_close_sent_; }
  bool is_close_received() const { return is_close_received_; }
  // The peer's: 1005 if its close frame was empty, 1006 as long as none has come.
  std::uint16_t peer_close_code() const { return peer_close_code_; }
  const std::string& peer_close_reason() const { return peer_close_reason_; }
  // What we sent because of a violation, or 0.
  std::uint16_t failure_code() const { return failure_code_; }
  // Frames that carried no message's end, ever: pings, pongs and fragments. For the owner's rate
  // limit.
  std::uint64_t auxiliary_frames() const { return auxiliary_frames_; }

 private:
  struct ReaderDeleter {
    void operator()(wslay_frame_context* reader) const;
  };

  bool is_finished() const { return is_close_received_ || failure_code_ != 0; }
  void make_reader();
  std::ptrdiff_t give_input(std::uint8_t* to, std::size_t room);
  Event on_chunk(const wslay_frame_iocb& chunk, std::string& out);
  std::uint16_t check_frame(const wslay_frame_iocb& chunk) const;
  Event on_data_frame(bool is_final, std::string& out);
  Event on_control_frame(std::uint8_t opcode, std::string& out);
  Event on_close_frame(std::string& out);
  Event fail(std::uint16_t code, std::string& out);
  void send_frame(std::uint8_t opcode, std::string_view payload, std::string& out);
  void release_idle_memory();

  Role role_;
  bool is_close_sent_ = false;
  bool is_close_received_ = false;
  bool is_message_ready_ = false;    // message_ was handed out
  bool is_in_frame_ = false;         // a frame's head was read, its payload not all of it
  std::uint8_t message_opcode_ = 0;  // of the message under way, 0 between messages
  std::uint16_t peer_close_code_ = close_code::abnormal;
  std::uint16_t failure_code_ = 0;
  std::size_t message_size_max_;
  std::uint64_t frame_received_ = 0;  // payload bytes of the frame under way
  std::uint64_t unparsed_bytes_ =
      0;  // given to the reader, not yet accounted for by a complete frame
  std::uint64_t auxiliary_frames_ = 0;
  std::string message_;
  std::string control_payload_;
  std::string peer_close_reason_;
  // Its 4 KiB buffer exists only while a frame is under way.
  std::unique_ptr<wslay_frame_context, ReaderDeleter> reader_;
  std::string_view input_;
};

// Server: RFC 6455 s4.2.1. A valid upgrade request has an answer in `accept`; any other in
// `refusal`.
struct UpgradeVerdict {
  std::string accept;  // Sec-WebSocket-Accept
  std::optional<HttpResponse> refusal;
};
UpgradeVerdict check_upgrade(const HttpRequest& request);
// The whole 101 response.
std::string write_upgrade_response(std::string_view accept);

// Client: 16 random bytes in base64.
std::string make_websocket_key();
// The Sec-WebSocket-Accept that belongs to a key.
std::string websocket_accept(std::string_view key);

bool is_utf8(std::string_view text);

}  // namespace earshot::gateway
