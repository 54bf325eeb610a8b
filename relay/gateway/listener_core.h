// What the listener and its connections share: budgets per turn of the loop, deadlines, buffers,
// counters. Controller thread. Private to listener.cpp and listener_connection.cpp.
#pragma once

#include <uv.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "relay/gateway/listener.h"

namespace earshot::gateway {

class ListenerConnection;

// Each kind lasts equally long for every connection, so a list in order of arrival is in order of
// expiry.
enum class Deadline : std::uint8_t { request, keep_alive, flush, close, none };
inline constexpr std::size_t deadlines_count = static_cast<std::size_t>(Deadline::none);

class ListenerCore {
 public:
  struct DeadlineEntry {
    ListenerConnection* connection;
    std::uint64_t at_ms;
  };
  using DeadlineList = std::list<DeadlineEntry>;

  ListenerCore(uv_loop_t* loop, ListenerOptions options, TlsContext tls, ConnectionEvents& events);

  // --- For Listener ---
  Result<void> open();
  void stop(Duration grace, std::uint16_t code, std::function<void()> on_stopped);
  // Nothing is told to the events' owner from here on; deletes itself when the last handle is
  // closed.
  void dispose();

  // --- For the connections ---
  ConnectionEvents* events() { return events_; }
  bool is_stopping() const { return is_stopping_; }
  std::uint64_t now_ms() const { return uv_now(loop_); }
  // Next turns of the loop: go on with the TLS handshake, write to the socket, close it.
  void defer_handshake(ListenerConnection& connection);
  void defer_flush(ListenerConnection& connection);
  void defer_end(ListenerConnection& connection);
  void set_deadline(ListenerConnection& connection, Deadline kind);
  // Its socket and handle are gone.
  void on_connection_closed(ListenerConnection& connection);

  uv_loop_t* const loop_;
  const ListenerOptions options_;
  TlsContext tls_;
  ListenerCounters counters_;
  std::vector<Endpoint> bound_;
  std::list<ListenerConnection*> connections_;
  std::deque<ListenerConnection*> handshakes_;
  // Scratch space: between two callbacks of the loop all of it is free.
  std::array<char, 16 * 1'024> received_;
  std::string plaintext_;
  std::string frames_;

 private:
  struct Socket {
    uv_poll_t handle;
    ListenerCore* core;
    int descriptor;
  };

  Result<void> bind_all(bool& is_port_taken);
  static std::pair<int, int> bind_one(const Endpoint& endpoint);
  void accept_some(Socket& socket);
  void admit(int descriptor, const Endpoint& peer);
  void pause_accepting();
  void resume_accepting();
  void start_turns();
  void on_turn();
  void run_handshakes();
  void run_flushes();
  void run_ends();
  void run_stop();
  void on_tick();
  void expire(Deadline kind);
  void start_ticking();
  void close_sockets();
  void release_handle();
  void delete_when_free(ListenerConnection& connection);
  void finish_stop();

  ConnectionEvents* events_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  uv_idle_t turn_;
  uv_timer_t tick_;
  int open_handles_ = 0;
  bool is_accepting_ = false;
  bool is_pause_timed_ = false;  // out of descriptors: only time helps
  bool is_disposed_ = false;
  std::deque<ListenerConnection*> flushes_;
  std::deque<ListenerConnection*> ends_;
  std::array<DeadlineList, deadlines_count> deadlines_;

  bool is_stopping_ = false;
  std::uint16_t stop_code_ = 0;
  std::uint64_t stop_at_ms_ = 0;
  std::list<ListenerConnection*>::iterator stop_cursor_;
  std::function<void()> on_stopped_;
};

}  // namespace earshot::gateway
