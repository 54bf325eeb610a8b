// One accepted connection: TLS handshake, HTTP requests, then perhaps a WebSocket. Controller
// thread. Private to the listener. It never closes anything inside a call from above the seam:
// ending is deferred to the loop, which then tells.
#pragma once

#include <uv.h>

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "relay/gateway/connection.h"
#include "relay/gateway/http.h"
#include "relay/gateway/listener_core.h"
#include "relay/gateway/tls.h"
#include "relay/gateway/websocket.h"

namespace earshot::gateway {

class ListenerConnection final : public Connection {
 public:
  ListenerConnection(ListenerCore& core, int descriptor, const Endpoint& peer);

  const Endpoint& peer() const override { return peer_; }
  void respond(const HttpResponse& response) override;
  bool begin_stream(const HttpResponse& head) override;
  bool send_stream(std::string_view bytes) override;
  void end_stream() override;
  void send_text(std::string_view message) override;
  void send_binary(std::string_view message) override;
  void close(std::uint16_t code, std::string_view reason) override;
  void abort() override;
  std::size_t send_queue_bytes() const override { return tls_.output().size(); }
  std::uint64_t sent_position() const override { return written_ + tls_.output().size(); }
  std::uint64_t acknowledged_position() const override;
  std::optional<Duration> round_trip() const override;

  // Takes the descriptor over, unless it answers false.
  bool open();

  // --- From ListenerCore's turns ---
  void continue_handshake();
  void flush();
  void on_deadline();
  // The node stops: WebSockets get `code`, the owners of streams are told, the rest ends as soon as
  // it may.
  void stop(std::uint16_t code);
  // Takes the socket away; the core hears on_connection_closed, from the loop.
  void close_socket();
  // Tells the owner above that it is over, unless that is done.
  void tell_ended();

  bool is_ended() const { return stage_ == Stage::ended; }

  // ListenerCore's own notes.
  std::list<ListenerConnection*>::iterator position;
  Deadline deadline = Deadline::none;
  ListenerCore::DeadlineList::iterator deadline_position;
  bool is_handshake_deferred = false;
  bool is_flush_deferred = false;
  bool is_end_deferred = false;
  bool is_closed = false;

 private:
  enum class Stage : std::uint8_t {
    handshake,
    http,
    websocket,
    closing,    // our close frame is queued, the peer's has not come
    lingering,  // all is said: flush, then wait for the peer to close its side, so that it can read
                // our last bytes
    ended,
  };

  // What the peer is still to get for its last request.
  enum class Answer : std::uint8_t { none, owed, stream };

  bool wants_input() const;
  void update_poll();
  void on_poll(int status, int events);
  void receive();
  bool write_some();
  void on_ciphertext(std::string_view ciphertext);
  void on_plaintext(std::string_view bytes);
  void on_end_of_input();
  void read_requests(std::string_view bytes);
  void on_request();
  void read_held();
  void open_websocket(const HttpRequest& request, std::string_view accept);
  void read_frames(std::string_view bytes);
  bool on_frame_event(WebSocket::Event event);
  bool exceeds_frame_rate();
  void send_frames();
  void on_drained();
  void linger();
  void end(bool with_reset);
  void tell_closed(std::uint16_t code);
  void tell_abandoned();

  ListenerCore& core_;
  uv_poll_t poll_;
  int descriptor_;
  Endpoint peer_;
  Stage stage_ = Stage::handshake;
  bool is_write_blocked_ = false;
  bool is_input_ended_ = false;
  bool is_output_ended_ = false;
  bool is_socket_closed_ = false;
  bool is_open_ = false;  // on_open was told, on_closed not yet
  int poll_events_ = 0;
  TlsStream tls_;
  std::uint64_t written_ = 0;  // bytes that the kernel took
  std::unique_ptr<HttpParser> http_;
  Answer answer_ = Answer::none;
  HttpResponseOptions answer_options_;
  bool is_last_request_ = false;  // the peer has ended its side while an answer was owed
  // Pipelined requests, and what follows an upgrade among them, wait here until the answers before
  // them are out.
  std::string held_;
  std::unique_ptr<WebSocket> websocket_;
  std::uint64_t frame_window_ms_ = 0;
  std::uint64_t frame_window_start_ = 0;
};

}  // namespace earshot::gateway
