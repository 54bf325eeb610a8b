#include "tools/load/gateway_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "relay/gateway/http.h"
#include "relay/gateway/websocket.h"
#include "tools/load/socket_address.h"

namespace earshot::load {
namespace {

// A channel of a thousand participants is introduced in messages of this order.
constexpr std::size_t message_bytes_max = 1 << 20;

}  // namespace

struct GatewaySocket::Connection {
  explicit Connection(const gateway::TlsContext& context, const std::string& host)
      : tls(context, host), websocket(gateway::WebSocket::Role::client, message_bytes_max) {}

  gateway::TlsStream tls;
  gateway::WebSocket websocket;
  std::unique_ptr<gateway::UpgradeResponseParser> upgrade;  // until it is accepted
};

GatewaySocket::GatewaySocket(Poller& poller, const Target& target, const gateway::TlsContext& tls,
                             GatewaySocketEvents& events)
    : poller_(poller), target_(target), tls_(tls), events_(events) {}

GatewaySocket::~GatewaySocket() {
  drop(true);
}

bool GatewaySocket::connect() {
  drop(true);
  const SocketAddress address(target_.gateway);
  descriptor_ = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) return false;
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(descriptor_, address.get(), address.size()) != 0 && errno != EINPROGRESS) {
    ::close(std::exchange(descriptor_, -1));
    return false;
  }
  connection_ = std::make_unique<Connection>(tls_, target_.host);
  waits_for_room_ = true;
  ++serial_;
  poller_.watch(descriptor_, EPOLLIN | EPOLLOUT, *this);
  return true;
}

void GatewaySocket::on_ready(std::uint32_t events) {
  if (descriptor_ < 0) return;
  if ((events & EPOLLOUT) != 0) flush();
  if (descriptor_ >= 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) receive();
}

void GatewaySocket::receive() {
  static std::array<char, 32 * 1'024> buffer;
  const ssize_t size = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return end(gateway::close_code::abnormal);
  Connection& c = *connection_;
  const bool was_established = c.tls.is_established();
  std::string plaintext;
  const auto status = c.tls.feed({buffer.data(), static_cast<std::size_t>(size)}, plaintext);
  if (!was_established && c.tls.is_established()) {
    const std::string key = gateway::make_websocket_key();
    c.upgrade = std::make_unique<gateway::UpgradeResponseParser>(key);
    c.tls.write(gateway::write_upgrade_request(target_.name, "/?v=8", key));
  }
  flush();
  const std::uint64_t serial = serial_;
  if (!plaintext.empty()) on_plaintext(plaintext);
  if (is_still(serial) && status != gateway::TlsStatus::open) end(gateway::close_code::abnormal);
}

// Whoever is called may reset or reconnect: the connection is looked at anew each time.
void GatewaySocket::on_plaintext(std::string_view bytes) {
  const std::uint64_t serial = serial_;
  if (connection_->upgrade) {
    const auto outcome = connection_->upgrade->feed(bytes);
    if (outcome == gateway::UpgradeResponseParser::Outcome::need_more) return;
    if (outcome != gateway::UpgradeResponseParser::Outcome::accepted) {
      return end(gateway::close_code::abnormal);
    }
    connection_->upgrade.reset();
    is_open_ = true;
    events_.on_open();
  }
  while (is_still(serial)) {
    std::string answer;
    gateway::WebSocket& websocket = connection_->websocket;
    const auto event = websocket.receive(bytes, answer);
    write(answer);
    if (event == gateway::WebSocket::Event::need_more) return;
    if (event == gateway::WebSocket::Event::closed) return end(websocket.peer_close_code());
    if (event == gateway::WebSocket::Event::failed) return end(gateway::close_code::abnormal);
    if (event == gateway::WebSocket::Event::text) events_.on_text(websocket.message());
  }
}

void GatewaySocket::send_text(std::string_view text) {
  if (!is_open_) return;
  std::string frames;
  connection_->websocket.send_text(text, frames);
  write(frames);
}

void GatewaySocket::write(std::string_view plaintext) {
  if (plaintext.empty()) return;
  connection_->tls.write(plaintext);
  flush();
}

// A broken connection shows in receive().
void GatewaySocket::flush() {
  bool waits = false;
  while (!connection_->tls.output().empty()) {
    const std::string_view output = connection_->tls.output();
    const ssize_t size = ::send(descriptor_, output.data(), output.size(), MSG_NOSIGNAL);
    if (size < 0) {
      waits = errno == EAGAIN || errno == EINTR;
      break;
    }
    connection_->tls.consume(static_cast<std::size_t>(size));
  }
  if (waits == waits_for_room_) return;
  waits_for_room_ = waits;
  poller_.change(descriptor_, waits ? EPOLLIN | EPOLLOUT : EPOLLIN, *this);
}

void GatewaySocket::close(std::uint16_t code) {
  if (is_open_) {
    std::string frames;
    connection_->websocket.close(code, {}, frames);
    write(frames);
  }
  drop(false);
}

void GatewaySocket::reset() {
  drop(true);
}

void GatewaySocket::end(std::uint16_t code) {
  drop(code == gateway::close_code::abnormal);
  events_.on_closed(code);
}

void GatewaySocket::drop(bool with_reset) {
  if (descriptor_ < 0) return;
  if (with_reset) {
    const linger at_once{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  ::close(std::exchange(descriptor_, -1));
  is_open_ = false;
  connection_.reset();
}

}  // namespace earshot::load
