// The seam between bytes and meaning on the public TCP port. Below it: accept, TLS, HTTP/1.1 and
// WebSocket framing (listener.*, tls.*, http.*, websocket.*). Above it: the sessions (control/).
// Controller thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/base/address.h"
#include "relay/base/time.h"

namespace earshot::gateway {

struct HttpRequest {
  std::string method;
  std::string path;   // without the query, as sent (not percent-decoded)
  std::string query;  // without '?'
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;

  // First header of that lower-case name, or empty.
  std::string_view header(std::string_view name) const;
  // Value of a query parameter (not percent-decoded), or empty; `is_present` tells the two apart.
  std::string_view query_parameter(std::string_view name, bool* is_present = nullptr) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  // Beyond those that http.h writes for every response, for example Allow or Retry-After.
  std::vector<std::pair<std::string, std::string>> headers{};
};

// One accepted TCP connection. It lives until on_closed has returned (without on_open: until the
// callback has returned; while an answer is owed or a stream is open: until respond(), end_stream()
// or on_abandoned() has returned). No call here calls back: on_drained, on_closed and on_abandoned
// come later, from the loop.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual const Endpoint& peer() const = 0;

  // --- HTTP: an answer that on_request owes ---

  // Answers by the rules of a direct answer. Ignored if nothing is owed. May be called inside
  // on_request, which then returns nothing.
  virtual void respond(const HttpResponse& response) = 0;
  // Begins an answer without an end known beforehand: the status, type and headers of `head`; its
  // body is ignored. HTTP/1.1 gets it in chunks, HTTP/1.0 until the connection closes; it closes
  // behind the stream in either case, and what the peer sends meanwhile is ignored. False: there is
  // no stream and nothing more to do, because the request was HEAD, nothing is owed, or the
  // connection or the peer's side of it has ended.
  [[nodiscard]] virtual bool begin_stream(const HttpResponse& head) = 0;
  // False: the send queue is now longer than limits::send_queue_bytes_max, because the peer reads
  // too slowly or not at all. `bytes` were taken, and a last word and end_stream() may follow; a
  // queue twice as long resets the connection. Also false, and ignored, without an open stream.
  virtual bool send_stream(std::string_view bytes) = 0;
  // Sends what is queued for as long as the peer reads it in time, and closes.
  virtual void end_stream() = 0;

  // --- WebSocket ---

  // Ignored once closing. A queue that grows beyond limits::send_queue_bytes_max
  // closes the connection.
  virtual void send_text(std::string_view message) = 0;
  virtual void send_binary(std::string_view message) = 0;
  // Sends what is queued, then the close frame with `code` (0: none) and waits briefly for the
  // peer's.
  virtual void close(std::uint16_t code, std::string_view reason) = 0;

  // --- Any ---

  // At once, with a TCP reset. From the loop follows on_closed, with code 1006, or on_abandoned.
  virtual void abort() = 0;
  // Bytes that the kernel has not taken yet, TLS records included.
  virtual std::size_t send_queue_bytes() const = 0;
  // Bytes of the connection so far, those still queued included, TLS records as they are. What was
  // sent before position p is with the peer's TCP once acknowledged_position() >= p.
  virtual std::uint64_t sent_position() const = 0;
  virtual std::uint64_t acknowledged_position() const = 0;
  // The kernel's smoothed measurement for this TCP connection; nothing while it has none.
  virtual std::optional<Duration> round_trip() const = 0;

  // The owner above the seam keeps what it needs here.
  void* context = nullptr;
};

// What the listener tells its owner.
class ConnectionEvents {
 public:
  virtual ~ConnectionEvents() = default;
  // A plain request: the answer is sent and the connection is kept or closed by the rules of
  // HTTP/1.1. Nothing: the answer is owed, and comes through connection.respond() or
  // begin_stream(); `request` lives until this call returns. Until the answer no deadline of the
  // listener ends the connection, and the peer's later requests wait; how long that may take, and
  // how many wait, is the owner's to bound.
  virtual std::optional<HttpResponse> on_request(Connection& connection,
                                                 const HttpRequest& request) = 0;
  // The connection has ended while its answer was owed or its stream was open: the peer is gone,
  // an error, or the listener's grace is over. Once, and never after respond() or end_stream(). A
  // peer that only ends its own side (FIN, close_notify) abandons a stream, but still gets an owed
  // answer.
  virtual void on_abandoned(Connection& connection) { static_cast<void>(connection); }
  // The listener stops and this connection's stream is open. The owner may say a last word and end
  // it, now or later; what is still open when the grace is over is reset. Owed answers need no
  // call: they are sent if they come within the grace.
  virtual void on_stopping(Connection& connection) { static_cast<void>(connection); }
  // An upgrade to WebSocket (RFC 6455 s4.2) on a path that accepts_websocket() admits; the 101 is
  // already queued.
  virtual void on_open(Connection& connection, const HttpRequest& request) = 0;
  virtual bool accepts_websocket(const HttpRequest& request) = 0;
  virtual void on_text(Connection& connection, std::string_view message) = 0;
  virtual void on_binary(Connection& connection, std::string_view message) = 0;
  // The send queue of a WebSocket or a stream is empty again: everything queued has reached the
  // kernel.
  virtual void on_drained(Connection& connection) = 0;
  // Only after on_open. `code` is the peer's close code (RFC 6455 s7.4), 1005 without one, 1006 if
  // the connection broke.
  virtual void on_closed(Connection& connection, std::uint16_t code) = 0;
  // Before TLS: may this address open one more connection now (bounds per address, slowed
  // addresses)?
  virtual bool admits(const IpAddress& peer) = 0;
  // Once for every connection that admits() let in, opened or not: it has ended.
  virtual void on_released(const IpAddress& peer) { static_cast<void>(peer); }
};

}  // namespace earshot::gateway
