// A small client on a real TCP socket for tests of the listener: raw bytes, TLS, HTTP or WebSocket,
// whatever the test says. Never blocks: pump() does what can be done now. Built from the same
// layers as real clients, in their client role.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/time.h"
#include "relay/gateway/http.h"
#include "relay/gateway/tls.h"
#include "relay/gateway/websocket.h"

namespace earshot::test {

class SocketClient {
 public:
  // A connection without TLS: send_raw() only.
  explicit SocketClient(const Endpoint& to, int receive_buffer_bytes = 0);
  // A connection that starts TLS at once.
  SocketClient(const Endpoint& to, const gateway::TlsContext& tls, int receive_buffer_bytes = 0);
  ~SocketClient();
  SocketClient(const SocketClient&) = delete;
  SocketClient& operator=(const SocketClient&) = delete;

  void pump();

  void send_raw(std::string_view bytes);
  void send(std::string_view plaintext);                   // waits for the handshake by itself
  void open_websocket(std::string_view target = "/?v=8");  // and then for the answer
  void send_text(std::string_view message);
  void send_frames(std::string_view frames);  // as they are
  void close_websocket(std::uint16_t code);
  // TCP: no more from us; or a reset.
  void end_output();
  void reset();

  // When the last bytes reached our kernel.
  Time received_at() const { return received_at_; }

  bool is_reading = true;  // false: a client that does not read

  bool is_secure() const { return tls_ && tls_->is_established(); }
  bool is_open() const { return websocket_ != nullptr; }
  // What our own kernel has not taken yet, as TLS records where there is TLS.
  std::size_t unsent_bytes() const { return raw_.size(); }
  bool has_ended() const { return has_ended_; }  // the relay's FIN or reset has come
  bool was_reset() const { return was_reset_; }
  std::uint16_t close_code() const { return websocket_ ? websocket_->peer_close_code() : 0; }
  const std::string& received() const {
    return received_;
  }  // plaintext outside of the WebSocket; or raw bytes
  const std::vector<std::string>& messages() const { return messages_; }

 private:
  void flush();
  ssize_t receive(std::span<char> buffer);
  void on_bytes(std::string_view bytes);
  void on_plaintext(std::string_view bytes);

  int descriptor_ = -1;
  std::unique_ptr<gateway::TlsStream> tls_;
  std::string waiting_;  // plaintext that waits for the handshake
  std::string raw_;
  std::unique_ptr<gateway::UpgradeResponseParser> upgrade_;
  std::unique_ptr<gateway::WebSocket> websocket_;
  std::string received_;
  std::vector<std::string> messages_;
  Time received_at_;
  bool has_ended_ = false;
  bool was_reset_ = false;
};

}  // namespace earshot::test
