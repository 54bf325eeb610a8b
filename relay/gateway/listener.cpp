#include "relay/gateway/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "relay/base/check.h"
#include "relay/gateway/listener_connection.h"
#include "relay/gateway/listener_core.h"

namespace earshot::gateway {
namespace {

// Work of one turn of the loop. A step of a TLS handshake takes up to 435 us, so 8 delay a
// heartbeat by 3.5 ms; a write takes about 10 us; an end, with what the owner above does about it,
// about 50 us.
constexpr int handshakes_per_turn = 8;
constexpr int flushes_per_turn = 512;
constexpr int ends_per_turn = 64;
constexpr int stops_per_turn = 64;
// Resolution of all deadlines, and how long accepting pauses when the process has no descriptor
// left.
constexpr std::uint64_t tick_ms = 50;
constexpr int listen_backlog = 4'096;
// Searches for a port that is free on every address.
constexpr int port_attempts_max = 16;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress to_socket_address(const Endpoint& endpoint) {
  SocketAddress address;
  if (endpoint.ip.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.ip.bytes.data() + 12, 4);
    address.size = sizeof(v4);
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&v6.sin6_addr, endpoint.ip.bytes.data(), 16);
    address.size = sizeof(v6);
  }
  return address;
}

Endpoint to_endpoint(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    std::uint8_t b[4];
    std::memcpy(b, &v4.sin_addr, 4);
    return {make_v4(b[0], b[1], b[2], b[3]), ntohs(v4.sin_port)};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  Endpoint endpoint;
  std::memcpy(endpoint.ip.bytes.data(), &v6.sin6_addr, 16);
  endpoint.port = ntohs(v6.sin6_port);
  return endpoint;
}

void set_option(int descriptor, int level, int name, int value) {
  ::setsockopt(descriptor, level, name, &value, sizeof(value));
}

Error listen_error(const Endpoint& endpoint, int error) {
  return Error{"cannot listen on " + endpoint.to_string() + ": " + std::strerror(error)};
}

}  // namespace

// --- Listener -----------------------------------------------------------------------------------

Result<std::unique_ptr<Listener>> Listener::create(uv_loop_t* loop, ListenerOptions options,
                                                   TlsContext tls, ConnectionEvents& events) {
  RELAY_CHECK(!options.endpoints.empty());
  auto* core = new ListenerCore(loop, std::move(options), std::move(tls), events);
  std::unique_ptr<Listener> listener(new Listener(core));
  const Result<void> opened = core->open();
  if (!opened) return opened.error();
  return listener;
}

Listener::~Listener() {
  core_->dispose();
}
const std::vector<Endpoint>& Listener::bound() const {
  return core_->bound_;
}
void Listener::set_tls_context(TlsContext tls) {
  core_->tls_ = std::move(tls);
}
const ListenerCounters& Listener::counters() const {
  return core_->counters_;
}
std::size_t Listener::connections_count() const {
  return core_->connections_.size();
}
std::size_t Listener::handshakes_count() const {
  return core_->handshakes_.size();
}

void Listener::stop(Duration grace, std::uint16_t code, std::function<void()> on_stopped) {
  core_->stop(grace, code, std::move(on_stopped));
}

// --- Opening ------------------------------------------------------------------------------------

ListenerCore::ListenerCore(uv_loop_t* loop, ListenerOptions options, TlsContext tls,
                           ConnectionEvents& events)
    : loop_(loop), options_(std::move(options)), tls_(std::move(tls)), events_(&events) {
  stop_cursor_ = connections_.end();
}

Result<void> ListenerCore::open() {
  for (int attempt = 1;; ++attempt) {
    bool is_port_taken = false;
    const Result<void> bound = bind_all(is_port_taken);
    if (bound) break;
    for (const auto& socket : sockets_) ::close(socket->descriptor);
    sockets_.clear();
    bound_.clear();
    if (!is_port_taken || attempt == port_attempts_max) return bound;
  }
  RELAY_CHECK(uv_idle_init(loop_, &turn_) == 0);
  RELAY_CHECK(uv_timer_init(loop_, &tick_) == 0);
  turn_.data = tick_.data = this;
  open_handles_ = 2;
  for (const auto& socket : sockets_) {
    RELAY_CHECK(uv_poll_init(loop_, &socket->handle, socket->descriptor) == 0);
    socket->handle.data = socket.get();
    ++open_handles_;
  }
  resume_accepting();
  return {};
}

// `is_port_taken`: the port that the first endpoint happened to get is in use on another address.
Result<void> ListenerCore::bind_all(bool& is_port_taken) {
  std::uint16_t chosen_port = 0;
  for (const Endpoint& endpoint : options_.endpoints) {
    const bool is_chosen = endpoint.port == 0 && chosen_port != 0;
    const Endpoint wanted{endpoint.ip, is_chosen ? chosen_port : endpoint.port};
    const auto [descriptor, error] = bind_one(wanted);
    if (error != 0) {
      const bool is_absent = error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
      if (is_absent && endpoint.ip.is_loopback() && options_.endpoints.size() > 1) continue;
      is_port_taken = is_chosen && error == EADDRINUSE;
      return listen_error(wanted, error);
    }
    sockets_.push_back(std::make_unique<Socket>(Socket{{}, this, descriptor}));
    sockaddr_storage storage{};
    socklen_t size = sizeof(storage);
    RELAY_CHECK(::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) == 0);
    bound_.push_back(to_endpoint(storage));
    if (endpoint.port == 0) chosen_port = bound_.back().port;
  }
  if (bound_.empty()) return listen_error(options_.endpoints.front(), EADDRNOTAVAIL);
  return {};
}

// A listening descriptor, or errno.
std::pair<int, int> ListenerCore::bind_one(const Endpoint& endpoint) {
  const int family = endpoint.ip.is_v4() ? AF_INET : AF_INET6;
  const int descriptor = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return {-1, errno};
  set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
  if (family == AF_INET6) set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const SocketAddress address = to_socket_address(endpoint);
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 ||
      ::listen(descriptor, listen_backlog) != 0) {
    const int error = errno;
    ::close(descriptor);
    return {-1, error};
  }
  return {descriptor, 0};
}

// --- Accepting ----------------------------------------------------------------------------------

void ListenerCore::resume_accepting() {
  if (is_accepting_ || is_stopping_ || is_disposed_) return;
  is_accepting_ = true;
  is_pause_timed_ = false;
  const auto on_event = [](uv_poll_t* handle, int, int) {
    auto& socket = *static_cast<Socket*>(handle->data);
    socket.core->accept_some(socket);
  };
  for (const auto& socket : sockets_)
    RELAY_CHECK(uv_poll_start(&socket->handle, UV_READABLE, on_event) == 0);
}

void ListenerCore::pause_accepting() {
  if (!is_accepting_) return;
  is_accepting_ = false;
  ++counters_.accept_pauses;
  for (const auto& socket : sockets_) uv_poll_stop(&socket->handle);
}

void ListenerCore::accept_some(Socket& socket) {
  for (int i = 0; i < limits::accepts_per_turn_max && is_accepting_; ++i) {
    sockaddr_storage storage{};
    socklen_t size = sizeof(storage);
    const int descriptor = ::accept4(socket.descriptor, reinterpret_cast<sockaddr*>(&storage),
                                     &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      admit(descriptor, to_endpoint(storage));
      continue;
    }
    // The backlog stays readable when there are no descriptors left: look again later, not at once.
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      pause_accepting();
      is_pause_timed_ = true;
      start_ticking();
    }
    // Everything else concerns that one connection only, or says that there is none.
    return;
  }
}

void ListenerCore::admit(int descriptor, const Endpoint& peer) {
  if (!events_->admits(peer.ip)) {
    ++counters_.refused;
    const struct linger reset { 1, 0 };
    ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    ::close(descriptor);
    return;
  }
  ++counters_.accepted;
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  auto connection = std::make_unique<ListenerConnection>(*this, descriptor, peer);
  if (!connection->open()) {
    ::close(descriptor);
    events_->on_released(peer.ip);
    return;
  }
  ++open_handles_;
  connection->position = connections_.insert(connections_.end(), connection.get());
  set_deadline(*connection.release(), Deadline::request);
  // Who has waited longest makes room: a crowd of silent connections must not lock everybody else
  // out.
  const DeadlineList& waiting = deadlines_[static_cast<std::size_t>(Deadline::request)];
  if (waiting.size() > options_.unopened_max) waiting.front().connection->on_deadline();
}

// --- Turns --------------------------------------------------------------------------------------

void ListenerCore::start_turns() {
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(&turn_)) != 0) return;
  uv_idle_start(&turn_,
                [](uv_idle_t* handle) { static_cast<ListenerCore*>(handle->data)->on_turn(); });
}

void ListenerCore::defer_handshake(ListenerConnection& connection) {
  if (std::exchange(connection.is_handshake_deferred, true)) return;
  handshakes_.push_back(&connection);
  if (handshakes_.size() >= static_cast<std::size_t>(limits::handshakes_max)) pause_accepting();
  start_turns();
}

void ListenerCore::defer_flush(ListenerConnection& connection) {
  if (std::exchange(connection.is_flush_deferred, true)) return;
  flushes_.push_back(&connection);
  start_turns();
}

void ListenerCore::defer_end(ListenerConnection& connection) {
  if (std::exchange(connection.is_end_deferred, true)) return;
  ends_.push_back(&connection);
  start_turns();
}

void ListenerCore::on_turn() {
  run_handshakes();
  run_flushes();
  run_ends();
  run_stop();
  const bool is_idle = handshakes_.empty() && flushes_.empty() && ends_.empty() &&
                       stop_cursor_ == connections_.end();
  if (is_idle && !is_disposed_) uv_idle_stop(&turn_);
}

void ListenerCore::run_handshakes() {
  for (int i = 0; i < handshakes_per_turn && !handshakes_.empty(); ++i) {
    ListenerConnection& connection = *handshakes_.front();
    handshakes_.pop_front();
    connection.is_handshake_deferred = false;
    connection.continue_handshake();
    delete_when_free(connection);
  }
  const bool has_room = handshakes_.size() <= static_cast<std::size_t>(limits::handshakes_max) / 2;
  if (has_room && !is_pause_timed_) resume_accepting();
}

void ListenerCore::run_flushes() {
  const std::size_t count = std::min<std::size_t>(flushes_per_turn, flushes_.size());
  for (std::size_t i = 0; i < count; ++i) {
    ListenerConnection& connection = *flushes_.front();
    flushes_.pop_front();
    connection.is_flush_deferred = false;
    connection.flush();
    delete_when_free(connection);
  }
}

// A reset of ten thousand connections at once must not stop the loop for a second.
void ListenerCore::run_ends() {
  for (int i = 0; i < ends_per_turn && !ends_.empty(); ++i) {
    ListenerConnection& connection = *ends_.front();
    ends_.pop_front();
    connection.close_socket();
  }
}

void ListenerCore::on_connection_closed(ListenerConnection& connection) {
  connection.tell_ended();
  if (stop_cursor_ == connection.position) ++stop_cursor_;
  connections_.erase(connection.position);
  connection.is_closed = true;
  delete_when_free(connection);
  finish_stop();
  release_handle();
}

// A queue may still name it.
void ListenerCore::delete_when_free(ListenerConnection& connection) {
  const bool is_queued = connection.is_handshake_deferred || connection.is_flush_deferred;
  if (connection.is_closed && !is_queued) delete &connection;
}

// --- Deadlines ----------------------------------------------------------------------------------

void ListenerCore::set_deadline(ListenerConnection& connection, Deadline kind) {
  if (connection.deadline != Deadline::none) {
    deadlines_[static_cast<std::size_t>(connection.deadline)].erase(connection.deadline_position);
  }
  connection.deadline = kind;
  if (kind == Deadline::none) return;
  const std::array<Duration, deadlines_count> durations{
      options_.handshake_time_max, options_.keep_alive_time_max, options_.flush_time_max,
      options_.close_time_max};
  const auto index = static_cast<std::size_t>(kind);
  DeadlineList& list = deadlines_[index];
  const std::uint64_t at = now_ms() + static_cast<std::uint64_t>(durations[index].ms());
  connection.deadline_position = list.insert(list.end(), {&connection, at});
  start_ticking();
}

void ListenerCore::start_ticking() {
  if (is_disposed_ || uv_is_active(reinterpret_cast<uv_handle_t*>(&tick_)) != 0) return;
  uv_timer_start(
      &tick_, [](uv_timer_t* handle) { static_cast<ListenerCore*>(handle->data)->on_tick(); },
      tick_ms, tick_ms);
}

void ListenerCore::on_tick() {
  bool is_needed = is_stopping_ && !connections_.empty();
  for (DeadlineList& list : deadlines_) {
    while (!list.empty() && list.front().at_ms <= now_ms()) list.front().connection->on_deadline();
    is_needed = is_needed || !list.empty();
  }
  if (is_pause_timed_) resume_accepting();
  if (is_stopping_ && now_ms() >= stop_at_ms_) {
    for (ListenerConnection* connection : connections_) connection->abort();
  }
  if (!is_needed && !is_disposed_) uv_timer_stop(&tick_);
}

// --- The end ------------------------------------------------------------------------------------

void ListenerCore::stop(Duration grace, std::uint16_t code, std::function<void()> on_stopped) {
  RELAY_CHECK(!is_stopping_);
  pause_accepting();
  is_stopping_ = true;
  stop_code_ = code;
  stop_at_ms_ = now_ms() + static_cast<std::uint64_t>(grace.ms());
  on_stopped_ = std::move(on_stopped);
  stop_cursor_ = connections_.begin();
  close_sockets();
  start_ticking();
  start_turns();
}

void ListenerCore::run_stop() {
  for (int i = 0; i < stops_per_turn && stop_cursor_ != connections_.end(); ++i) {
    ListenerConnection& connection = **stop_cursor_;
    ++stop_cursor_;
    connection.stop(stop_code_);
  }
  finish_stop();
}

void ListenerCore::finish_stop() {
  if (!is_stopping_ || !connections_.empty() || !on_stopped_) return;
  std::exchange(on_stopped_, nullptr)();
}

void ListenerCore::close_sockets() {
  for (const auto& socket : sockets_) {
    if (socket->descriptor < 0) continue;
    uv_close(reinterpret_cast<uv_handle_t*>(&socket->handle), [](uv_handle_t* handle) {
      static_cast<Socket*>(handle->data)->core->release_handle();
    });
    ::close(std::exchange(socket->descriptor, -1));
  }
}

void ListenerCore::release_handle() {
  if (--open_handles_ == 0 && is_disposed_) delete this;
}

void ListenerCore::dispose() {
  is_disposed_ = true;
  events_ = nullptr;
  on_stopped_ = nullptr;
  stop_cursor_ = connections_.end();
  if (open_handles_ == 0) {
    delete this;
    return;
  }
  close_sockets();
  for (ListenerConnection* connection : connections_) {
    connection->abort();
    connection->close_socket();
  }
  ends_.clear();
  for (ListenerConnection* connection : std::exchange(handshakes_, {})) {
    connection->is_handshake_deferred = false;
    delete_when_free(*connection);
  }
  for (ListenerConnection* connection : std::exchange(flushes_, {})) {
    connection->is_flush_deferred = false;
    delete_when_free(*connection);
  }
  const auto on_closed = [](uv_handle_t* handle) {
    static_cast<ListenerCore*>(handle->data)->release_handle();
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&turn_), on_closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&tick_), on_closed);
}

}  // namespace earshot::gateway
