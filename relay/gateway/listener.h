// The one place with TCP sockets: accepts, runs TLS, HTTP and WebSocket over them, and tells
// ConnectionEvents. Controller thread, on its libuv loop. A storm of new connections must not delay
// the live ones: accepts, TLS handshakes, writes and closes each have a budget per turn of the
// loop, and what is left over waits in order. Does not know what messages mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/limits.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/gateway/connection.h"
#include "relay/gateway/tls.h"

struct uv_loop_s;

namespace earshot::gateway {

struct ListenerOptions {
  // Port 0: any free one, and the same one for every endpoint that has port 0. A loopback address
  // that this machine does not have (::1 without IPv6) is left out, unless it is the only one.
  std::vector<Endpoint> endpoints;
  // From the accept to the end of the first request; also for every later request, from its first
  // byte.
  Duration handshake_time_max = limits::handshake_time_max;
  // Between two requests of a connection that is kept alive.
  Duration keep_alive_time_max = seconds(60);
  // For what is queued when a connection is to end; then, for the peer to end it too.
  Duration flush_time_max = seconds(10);
  Duration close_time_max = seconds(2);
  // Connections in their handshake or a request; one more, and the oldest of them goes. At 35 KB
  // each 8,192 take 280 MB. A worker's sessions may all come at once: what goes has to begin anew.
  std::size_t unopened_max = 8'192;
  std::size_t send_queue_bytes_max = limits::send_queue_bytes_max;
  std::size_t message_size_max = limits::message_size_max;
};

// Since the start; only ever growing.
struct ListenerCounters {
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;            // by admits()
  std::uint64_t accept_pauses = 0;      // no descriptors left, or too many handshakes waiting
  std::uint64_t handshakes_failed = 0;  // TLS, or the connection broke before it was up
  std::uint64_t timeouts = 0;           // handshake, request or keep-alive
  std::uint64_t requests = 0;
  std::uint64_t requests_refused = 0;  // malformed, or an upgrade that is none
  std::uint64_t websockets_opened = 0;
  std::uint64_t protocol_errors = 0;  // closed with 1002, 1007, 1008 or 1009
  std::uint64_t slow_readers = 0;     // reset because their send queue was full
};

class ListenerCore;

class Listener {
 public:
  // `loop` and `events` must outlive it. Errors name the address.
  static Result<std::unique_ptr<Listener>> create(uv_loop_s* loop, ListenerOptions options,
                                                  TlsContext tls, ConnectionEvents& events);
  // Resets whatever is still open, without telling `events`. The loop must run until its handles
  // are closed.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // With the real ports, in the order of the options.
  const std::vector<Endpoint>& bound() const;
  // For connections from now on; the others keep the certificate they have.
  void set_tls_context(TlsContext tls);
  const ListenerCounters& counters() const;
  // Connections that exist now, those in their handshake included.
  std::size_t connections_count() const;
  std::size_t handshakes_count() const;

  // Accepts nothing more, closes every WebSocket with `code`, a few per turn, and resets what is
  // left after `grace`. `on_stopped` is called once, from the loop, when no connection is left.
  void stop(Duration grace, std::uint16_t code, std::function<void()> on_stopped);

 private:
  explicit Listener(ListenerCore* core) : core_(core) {}

  // Ends its own life when the last handle is closed.
  ListenerCore* core_;
};

}  // namespace earshot::gateway
