// A listener on loopback with its own loop and certificate, and clients on real sockets around it.
// Tests only. The owner above the seam is the test's.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <vector>

#include "relay/gateway/listener.h"
#include "tests/support/socket_client.h"
#include "tests/support/test_certificate.h"

namespace earshot::test {

struct ListenerRig {
  // `events` may still be under construction. Without endpoints: 127.0.0.1.
  ListenerRig(gateway::ConnectionEvents& events, gateway::ListenerOptions options);
  ~ListenerRig();
  ListenerRig(const ListenerRig&) = delete;
  ListenerRig& operator=(const ListenerRig&) = delete;

  bool run_until(const std::function<bool()>& is_done, int limit_ms = 5'000);
  void run_for(int ms);
  // The loop's events and every client's, once, without waiting.
  void turn();
  bool run_until_gone();  // no connection is left

  SocketClient& connect();
  SocketClient& connect_raw();    // without TLS
  SocketClient& connect_small();  // with a receive buffer of 4 KiB
  SocketClient& open();           // a WebSocket that is open
  SocketClient& add(std::unique_ptr<SocketClient> client);

  TestCertificate certificate;
  gateway::TlsContext server_tls;
  gateway::TlsContext client_tls;
  uv_loop_t loop;
  std::unique_ptr<gateway::Listener> listener;
  std::vector<std::unique_ptr<SocketClient>> clients;
};

}  // namespace earshot::test
