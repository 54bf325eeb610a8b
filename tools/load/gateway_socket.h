// One WebSocket over TLS to the node under load: as little memory as the layers of relay/gateway
// need, and none while it is closed. One thread. A full TLS handshake each time: the relay gives no
// session tickets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "relay/base/address.h"
#include "relay/gateway/tls.h"
#include "tools/load/poller.h"

namespace earshot::load {

// Where every session connects to.
struct Target {
  Endpoint gateway;
  std::string host;  // as the certificate carries it
  std::string name;  // HOST:PORT, for the request
};

class GatewaySocketEvents {
 public:
  virtual void on_open() = 0;
  virtual void on_text(std::string_view text) = 0;
  // Once per connect(). `code` as in RFC 6455; 1006 if the connection broke or never came up.
  virtual void on_closed(std::uint16_t code) = 0;

 protected:
  ~GatewaySocketEvents() = default;
};

class GatewaySocket final : Watched {
 public:
  GatewaySocket(Poller& poller, const Target& target, const gateway::TlsContext& tls,
                GatewaySocketEvents& events);
  ~GatewaySocket();
  GatewaySocket(const GatewaySocket&) = delete;
  GatewaySocket& operator=(const GatewaySocket&) = delete;

  // False if the kernel has no socket for it.
  bool connect();
  void send_text(std::string_view text);
  // With a close frame, or as a broken connection. Nothing is called for either.
  void close(std::uint16_t code);
  void reset();
  bool is_connected() const { return descriptor_ >= 0; }

 private:
  struct Connection;

  void on_ready(std::uint32_t events) override;
  // Each client has a CPU of its own in life; here those who are further come first, so that a
  // crowd does not come in all at the same late moment.
  bool is_urgent() const override { return is_open_; }
  void receive();
  void on_plaintext(std::string_view bytes);
  void write(std::string_view plaintext);
  void flush();
  void end(std::uint16_t code);
  void drop(bool with_reset);
  // Nobody has closed or replaced that connection.
  bool is_still(std::uint64_t serial) const { return descriptor_ >= 0 && serial_ == serial; }

  Poller& poller_;
  const Target& target_;
  const gateway::TlsContext& tls_;
  GatewaySocketEvents& events_;
  int descriptor_ = -1;
  std::uint64_t serial_ = 0;
  bool waits_for_room_ = true;
  bool is_open_ = false;
  std::unique_ptr<Connection> connection_;
};

}  // namespace earshot::load
