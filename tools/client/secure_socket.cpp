#include "tools/client/secure_socket.h"

#include <netinet/in.h>
#include <uv.h>

#include <array>
#include <charconv>
#include <cstring>
#include <utility>
#include <vector>

#include "relay/base/check.h"
#include "relay/gateway/http.h"
#include "relay/gateway/websocket.h"
#include "tools/client/event_loop.h"

namespace earshot::client {
namespace {

constexpr Duration close_time_max = seconds(2);
// Before the next address of the name is tried: a network that swallows IPv6 costs this much.
constexpr Duration address_time_max = seconds(2);
// Server messages are small; a client can afford to be generous.
constexpr std::size_t message_bytes_max = 256 * 1'024;

std::string describe(int status) {
  return uv_strerror(status);
}

}  // namespace

Result<SocketTarget> SocketTarget::parse(std::string_view text) {
  const Error error{"\"" + std::string(text) + "\" is not HOST:PORT"};
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return error;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (has_brackets) host = host.substr(1, host.size() - 2);
  if (host.empty() || has_brackets != (host.find(':') != std::string_view::npos)) return error;
  if (host.find_first_of("[]") != std::string_view::npos) return error;
  SocketTarget target{std::string(host)};
  const auto [end, status] = std::from_chars(port.data(), port.data() + port.size(), target.port);
  if (status != std::errc{} || end != port.data() + port.size() || target.port == 0) return error;
  return target;
}

std::string SocketTarget::to_string() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

// Lives as long as a handle or request of libuv's points to it, whatever becomes of its
// SecureSocket.
class SecureSocket::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(uv_loop_t* loop, const gateway::TlsContext& tls, SocketTarget target, SocketEvents events)
      : loop_(loop),
        target_(std::move(target)),
        events_(std::make_shared<const SocketEvents>(std::move(events))),
        tls_(tls, target_.host),
        key_(gateway::make_websocket_key()),
        upgrade_(key_),
        websocket_(gateway::WebSocket::Role::client, message_bytes_max),
        deadline_(std::make_unique<Timer>(loop, [this] { on_deadline(); })),
        next_address_(std::make_unique<Timer>(loop, [this] { on_connect_failed(UV_ETIMEDOUT); })) {}

  void start(Duration open_time_max) {
    deadline_->start(open_time_max);
    if (tls_.status() == gateway::TlsStatus::failed) return fail_later("TLS: " + tls_.error());
    if (const auto ip = IpAddress::parse(target_.host)) {
      addresses_.push_back(make_address({*ip, target_.port}));
      return connect_next();
    }
    auto request = std::make_unique<Resolve>(Resolve{{}, shared_from_this()});
    request->handle.data = request.get();
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    const int status = uv_getaddrinfo(loop_, &request->handle, on_resolved, target_.host.c_str(),
                                      std::to_string(target_.port).c_str(), &hints);
    if (status != 0) return fail_later("cannot resolve " + target_.host + ": " + describe(status));
    static_cast<void>(request.release());
  }

  bool is_open() const { return state_ == State::open; }

  void send(std::string_view message, bool is_text) {
    if (state_ != State::open) return;
    std::string frames;
    if (is_text) {
      websocket_.send_text(message, frames);
    } else {
      websocket_.send_binary(message, frames);
    }
    write(frames);
  }

  void send_raw(std::string_view bytes) {
    if (state_ == State::open) write(bytes);
  }

  void close(std::uint16_t code, std::string_view reason) {
    if (state_ != State::open)
      return finish({gateway::close_code::abnormal, "closed by us", false});
    std::string frames;
    websocket_.close(code, reason, frames);
    write(frames);
    state_ = State::closing;
    if (deadline_) deadline_->start(close_time_max);
  }

  // Without a word to anybody.
  void abandon() {
    events_ = std::make_shared<const SocketEvents>();
    finish({});
  }

 private:
  enum class State { connecting, upgrading, open, closing, closed };
  struct Resolve {
    uv_getaddrinfo_t handle;
    std::shared_ptr<Core> core;
  };
  struct Connect {
    uv_connect_t handle;
    std::shared_ptr<Core> core;
  };
  struct Write {
    uv_write_t handle;
    std::shared_ptr<Core> core;
    std::string bytes;
  };
  struct Tcp {
    uv_tcp_t handle;
    std::shared_ptr<Core> core;  // the loop calls read callbacks as long as the handle lives
  };

  static sockaddr_storage make_address(const Endpoint& endpoint) {
    sockaddr_storage storage{};
    if (endpoint.ip.is_v4()) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(endpoint.port);
      std::memcpy(&v4.sin_addr, endpoint.ip.bytes.data() + 12, 4);
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(endpoint.port);
      std::memcpy(&v6.sin6_addr, endpoint.ip.bytes.data(), 16);
    }
    return storage;
  }

  static void on_resolved(uv_getaddrinfo_t* handle, int status, addrinfo* list) {
    const std::unique_ptr<Resolve> request(static_cast<Resolve*>(handle->data));
    Core& core = *request->core;
    for (const addrinfo* it = list; status == 0 && it != nullptr; it = it->ai_next) {
      sockaddr_storage storage{};
      std::memcpy(&storage, it->ai_addr, it->ai_addrlen);
      core.addresses_.push_back(storage);
    }
    uv_freeaddrinfo(list);
    if (core.state_ == State::closed) return;
    if (core.addresses_.empty()) {
      return core.fail("cannot resolve " + core.target_.host + ": " +
                       describe(status != 0 ? status : UV_EAI_NONAME));
    }
    core.connect_next();
  }

  // A name may have several addresses: the next one is tried when one refuses.
  void connect_next() {
    close_tcp(false);
    tcp_ = new Tcp{{}, shared_from_this()};
    RELAY_CHECK(uv_tcp_init(loop_, &tcp_->handle) == 0);
    tcp_->handle.data = tcp_;
    auto request = std::make_unique<Connect>(Connect{{}, shared_from_this()});
    request->handle.data = request.get();
    const auto* address = reinterpret_cast<const sockaddr*>(&addresses_[address_index_]);
    const int status = uv_tcp_connect(&request->handle, &tcp_->handle, address, on_connected);
    if (status != 0) return on_connect_failed(status);
    static_cast<void>(request.release());
    if (address_index_ + 1 < addresses_.size()) next_address_->start(address_time_max);
  }

  static void on_connected(uv_connect_t* handle, int status) {
    const std::unique_ptr<Connect> request(static_cast<Connect*>(handle->data));
    Core& core = *request->core;
    if (core.state_ == State::closed || status == UV_ECANCELED) return;
    if (status != 0) return core.on_connect_failed(status);
    core.next_address_->stop();
    uv_tcp_nodelay(&core.tcp_->handle, 1);
    uv_read_start(reinterpret_cast<uv_stream_t*>(&core.tcp_->handle), on_allocate, on_read);
    core.flush();
  }

  void on_connect_failed(int status) {
    next_address_->stop();
    if (++address_index_ < addresses_.size()) return connect_next();
    fail_later("cannot connect to " + target_.to_string() + ": " + describe(status));
  }

  // The owner gets its events from the loop only, never from within the constructor.
  void fail_later(std::string reason) {
    failure_ = std::move(reason);
    deadline_->start({});
  }

  static void on_allocate(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
    Core& core = *static_cast<Tcp*>(handle->data)->core;
    *buffer =
        uv_buf_init(core.read_buffer_.data(), static_cast<unsigned>(core.read_buffer_.size()));
  }

  static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
    const std::shared_ptr<Core> core = static_cast<Tcp*>(stream->data)->core;
    if (size > 0) core->on_bytes({buffer->base, static_cast<std::size_t>(size)});
    if (size < 0) core->fail("the connection broke: " + describe(static_cast<int>(size)));
  }

  void on_bytes(std::string_view ciphertext) {
    const bool was_established = tls_.is_established();
    const auto status = tls_.feed(ciphertext, plaintext_);
    if (!was_established && tls_.is_established()) {
      state_ = State::upgrading;
      tls_.write(gateway::write_upgrade_request(target_.to_string(), target_.path, key_));
    }
    flush();
    std::string received = std::exchange(plaintext_, {});
    std::string_view rest = received;
    if (state_ == State::upgrading) feed_upgrade(rest);
    if (state_ == State::open || state_ == State::closing) feed_websocket(rest);
    if (status == gateway::TlsStatus::failed) fail("TLS: " + tls_.error());
    if (status == gateway::TlsStatus::closed) fail("the connection was closed");
  }

  void feed_upgrade(std::string_view& bytes) {
    if (bytes.empty()) return;
    switch (upgrade_.feed(bytes)) {
      case gateway::UpgradeResponseParser::Outcome::need_more:
        return;
      case gateway::UpgradeResponseParser::Outcome::refused:
        return fail("the upgrade was refused with HTTP status " +
                    std::to_string(upgrade_.status()));
      case gateway::UpgradeResponseParser::Outcome::error:
        return fail("no WebSocket answers there");
      case gateway::UpgradeResponseParser::Outcome::accepted:
        break;
    }
    state_ = State::open;
    deadline_->stop();
    emit([](const SocketEvents& events) {
      if (events.on_open) events.on_open();
    });
  }

  void feed_websocket(std::string_view bytes) {
    while (state_ == State::open || state_ == State::closing) {
      std::string answer;
      const auto event = websocket_.receive(bytes, answer);
      write(answer);
      using Event = gateway::WebSocket::Event;
      if (event == Event::need_more) return;
      if (event == Event::failed) return fail("the gateway broke the WebSocket protocol");
      if (event == Event::closed) {
        return finish({websocket_.peer_close_code(), websocket_.peer_close_reason(), true});
      }
      emit([&](const SocketEvents& events) {
        const auto& callback = event == Event::text ? events.on_text : events.on_binary;
        if (callback) callback(websocket_.message());
      });
    }
  }

  void write(std::string_view plaintext) {
    if (plaintext.empty() || state_ == State::closed) return;
    tls_.write(plaintext);
    flush();
  }

  void flush() {
    const std::string_view output = tls_.output();
    if (output.empty() || tcp_ == nullptr) return;
    auto request = std::make_unique<Write>(Write{{}, shared_from_this(), std::string(output)});
    tls_.consume(output.size());
    request->handle.data = request.get();
    const uv_buf_t buffer =
        uv_buf_init(request->bytes.data(), static_cast<unsigned>(request->bytes.size()));
    const int status =
        uv_write(&request->handle, reinterpret_cast<uv_stream_t*>(&tcp_->handle), &buffer, 1,
                 [](uv_write_t* handle, int) { delete static_cast<Write*>(handle->data); });
    // A broken connection shows in on_read.
    if (status == 0) static_cast<void>(request.release());
  }

  void on_deadline() {
    if (!failure_.empty()) return fail(failure_);
    fail(state_ == State::closing ? "the gateway did not answer the close"
                                  : "no answer from " + target_.to_string() + " in time");
  }

  void fail(const std::string& reason) {
    const bool was_open = state_ == State::open || state_ == State::closing;
    finish({gateway::close_code::abnormal, reason, was_open});
  }

  void finish(const SocketClosed& closed) {
    if (state_ == State::closed) return;
    // What closed in good order ends with FIN, everything else with a reset.
    const bool is_clean = websocket_.is_close_received();
    state_ = State::closed;
    if (is_clean) {
      tls_.close();
      flush();
    }
    deadline_.reset();
    next_address_.reset();
    close_tcp(!is_clean);
    emit([&closed](const SocketEvents& events) {
      if (events.on_closed) events.on_closed(closed);
    });
  }

  void close_tcp(bool reset) {
    if (tcp_ == nullptr) return;
    const auto on_closed = [](uv_handle_t* handle) { delete static_cast<Tcp*>(handle->data); };
    Tcp* tcp = std::exchange(tcp_, nullptr);
    if (reset && uv_tcp_close_reset(&tcp->handle, on_closed) == 0) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&tcp->handle), on_closed);
  }

  // The callback may drop or replace the owner of the events.
  template <typename Call>
  void emit(Call call) {
    const auto self = shared_from_this();
    const auto events = events_;
    call(*events);
  }

  uv_loop_t* loop_;
  SocketTarget target_;
  std::shared_ptr<const SocketEvents> events_;
  gateway::TlsStream tls_;
  std::string key_;
  gateway::UpgradeResponseParser upgrade_;
  gateway::WebSocket websocket_;
  std::unique_ptr<Timer> deadline_;
  std::unique_ptr<Timer> next_address_;
  State state_ = State::connecting;
  std::vector<sockaddr_storage> addresses_;
  std::size_t address_index_ = 0;
  Tcp* tcp_ = nullptr;
  std::string plaintext_;
  std::string failure_;
  std::array<char, 16'384> read_buffer_{};
};

SecureSocket::SecureSocket(uv_loop_s* loop, const gateway::TlsContext& tls, SocketTarget target,
                           Duration open_time_max, SocketEvents events)
    : core_(std::make_shared<Core>(loop, tls, std::move(target), std::move(events))) {
  core_->start(open_time_max);
}

SecureSocket::~SecureSocket() {
  core_->abandon();
}

bool SecureSocket::is_open() const {
  return core_->is_open();
}

void SecureSocket::send_text(std::string_view message) {
  core_->send(message, true);
}

void SecureSocket::send_binary(std::string_view message) {
  core_->send(message, false);
}

void SecureSocket::close(std::uint16_t code, std::string_view reason) {
  core_->close(code, reason);
}

void SecureSocket::cut() {
  core_->abandon();
}

void SecureSocket::send_raw(std::string_view bytes) {
  core_->send_raw(bytes);
}

}  // namespace earshot::client
