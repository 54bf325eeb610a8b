// One WebSocket over TLS to a voice gateway: resolve, connect, verify, upgrade, exchange messages.
// Loop thread only. The protocols are the sans-IO layers of relay/gateway in their client role;
// what messages mean is signalling's business.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "relay/base/address.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/gateway/tls.h"

struct uv_loop_s;

namespace earshot::client {

struct SocketTarget {
  std::string host;  // name or address, without brackets; the certificate must carry it
  std::uint16_t port = 0;
  std::string path = "/";

  // "host:port" or "[v6]:port".
  static Result<SocketTarget> parse(std::string_view text);
  std::string to_string() const;
};

struct SocketClosed {
  std::uint16_t code = 0;  // the peer's close code, 1005 without one, 1006 if the connection broke
  std::string reason;      // the peer's words, or what went wrong here
  bool was_open = false;   // the upgrade had succeeded
};

struct SocketEvents {
  std::function<void()> on_open;
  std::function<void(std::string_view)> on_text;
  std::function<void(std::string_view)> on_binary;
  // Once, and nothing after it. Not called for cut() or destruction.
  std::function<void(const SocketClosed&)> on_closed;
};

class SecureSocket {
 public:
  // Starts to connect. The whole way to the open WebSocket must not take longer than
  // `open_time_max`.
  SecureSocket(uv_loop_s* loop, const gateway::TlsContext& tls, SocketTarget target,
               Duration open_time_max, SocketEvents events);
  // Cuts.
  ~SecureSocket();
  SecureSocket(const SecureSocket&) = delete;
  SecureSocket& operator=(const SecureSocket&) = delete;

  bool is_open() const;
  void send_text(std::string_view message);
  void send_binary(std::string_view message);
  // Close handshake; on_closed follows, at the latest after two seconds.
  void close(std::uint16_t code, std::string_view reason);
  // Resets the TCP connection at once, without a close frame.
  void cut();
  // Test hook: bytes as they are, under TLS but without WebSocket framing.
  void send_raw(std::string_view bytes);

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace earshot::client
