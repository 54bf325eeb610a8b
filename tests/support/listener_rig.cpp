#include "tests/support/listener_rig.h"

#include <doctest/doctest.h>

#include <chrono>

namespace earshot::test {

using gateway::Listener;
using gateway::TlsContext;

ListenerRig::ListenerRig(gateway::ConnectionEvents& events, gateway::ListenerOptions options)
    : server_tls(
          TlsContext::make_server(certificate.certificate_path(), certificate.key_path()).value()),
      client_tls(TlsContext::make_client(certificate.certificate_path()).value()) {
  uv_loop_init(&loop);
  if (options.endpoints.empty()) options.endpoints = {{make_v4(127, 0, 0, 1), 0}};
  listener = std::move(Listener::create(&loop, std::move(options), server_tls, events).value());
}

ListenerRig::~ListenerRig() {
  clients.clear();
  listener.reset();
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
}

bool ListenerRig::run_until(const std::function<bool()>& is_done, int limit_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
  while (!is_done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    turn();
  }
  return true;
}

void ListenerRig::run_for(int ms) {
  run_until([] { return false; }, ms);
}

void ListenerRig::turn() {
  uv_run(&loop, UV_RUN_NOWAIT);
  for (const auto& client : clients) client->pump();
}

bool ListenerRig::run_until_gone() {
  return run_until([&] { return listener->connections_count() == 0; });
}

SocketClient& ListenerRig::connect() {
  return add(std::make_unique<SocketClient>(listener->bound()[0], client_tls));
}
SocketClient& ListenerRig::connect_raw() {
  return add(std::make_unique<SocketClient>(listener->bound()[0]));
}
SocketClient& ListenerRig::connect_small() {
  return add(std::make_unique<SocketClient>(listener->bound()[0], client_tls, 4'096));
}
SocketClient& ListenerRig::open() {
  SocketClient& client = connect();
  client.open_websocket();
  REQUIRE(run_until([&] { return client.is_open(); }));
  return client;
}
SocketClient& ListenerRig::add(std::unique_ptr<SocketClient> client) {
  return *clients.emplace_back(std::move(client));
}

}  // namespace earshot::test
