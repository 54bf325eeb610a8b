#include "tests/support/socket_client.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "relay/base/check.h"

namespace earshot::test {
namespace {

int connect_to(const Endpoint& to, int receive_buffer_bytes) {
  const int descriptor =
      ::socket(to.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  RELAY_CHECK(descriptor >= 0);
  if (receive_buffer_bytes > 0) {
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                 sizeof(receive_buffer_bytes));
  }
  const int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(to.port);
  std::memcpy(&v4.sin_addr, to.ip.bytes.data() + 12, 4);
  std::memcpy(&v6.sin6_addr, to.ip.bytes.data(), 16);
  const auto* address = to.ip.is_v4() ? reinterpret_cast<const sockaddr*>(&v4)
                                      : reinterpret_cast<const sockaddr*>(&v6);
  const int result = ::connect(descriptor, address, to.ip.is_v4() ? sizeof(v4) : sizeof(v6));
  RELAY_CHECK(result == 0 || errno == EINPROGRESS);
  return descriptor;
}

std::int64_t read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// The kernel's stamp, on the monotonic clock; or now. Never earlier than the truth, even if we are
// interrupted here.
Time arrival_of(msghdr& message) {
  for (cmsghdr* it = CMSG_FIRSTHDR(&message); it != nullptr; it = CMSG_NXTHDR(&message, it)) {
    if (it->cmsg_level != SOL_SOCKET || it->cmsg_type != SO_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(it), sizeof stamp);
    const std::int64_t age =
        read_clock(CLOCK_REALTIME) - (stamp.tv_sec * 1'000'000'000LL + stamp.tv_nsec);
    return {read_clock(CLOCK_MONOTONIC) - std::clamp(age, std::int64_t{0}, seconds(1).ns)};
  }
  return {read_clock(CLOCK_MONOTONIC)};
}

}  // namespace

SocketClient::SocketClient(const Endpoint& to, int receive_buffer_bytes)
    : descriptor_(connect_to(to, receive_buffer_bytes)) {}

SocketClient::SocketClient(const Endpoint& to, const gateway::TlsContext& tls,
                           int receive_buffer_bytes)
    : descriptor_(connect_to(to, receive_buffer_bytes)),
      tls_(std::make_unique<gateway::TlsStream>(tls, to.ip.to_string())) {}

SocketClient::~SocketClient() {
  ::close(descriptor_);
}

void SocketClient::flush() {
  if (is_secure() && !waiting_.empty()) {
    tls_->write(waiting_);
    waiting_.clear();
  }
  if (tls_) {
    raw_.append(tls_->output());
    tls_->consume(tls_->output().size());
  }
  while (!raw_.empty()) {
    const ssize_t size = ::send(descriptor_, raw_.data(), raw_.size(), MSG_NOSIGNAL);
    if (size <= 0) return;
    raw_.erase(0, static_cast<std::size_t>(size));
  }
}

void SocketClient::pump() {
  if (has_ended_) return;
  flush();
  while (is_reading && !has_ended_) {
    std::array<char, 16'384> buffer;
    const ssize_t size = receive(buffer);
    if (size > 0) {
      on_bytes({buffer.data(), static_cast<std::size_t>(size)});
      continue;
    }
    if (size < 0 && (errno == EAGAIN || errno == ENOTCONN)) break;
    has_ended_ = true;
    was_reset_ = size < 0;
  }
  if (!has_ended_) flush();
}

ssize_t SocketClient::receive(std::span<char> buffer) {
  alignas(cmsghdr) std::array<char, 128> control;
  iovec vector{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(descriptor_, &message, 0);
  if (size > 0) received_at_ = arrival_of(message);
  return size;
}

void SocketClient::on_bytes(std::string_view bytes) {
  if (!tls_) {
    received_.append(bytes);
    return;
  }
  std::string plaintext;
  tls_->feed(bytes, plaintext);
  on_plaintext(plaintext);
}

void SocketClient::on_plaintext(std::string_view bytes) {
  if (upgrade_) {
    const auto outcome = upgrade_->feed(bytes);
    if (outcome == gateway::UpgradeResponseParser::Outcome::accepted) {
      websocket_ = std::make_unique<gateway::WebSocket>(gateway::WebSocket::Role::client, 1 << 24);
    } else if (outcome != gateway::UpgradeResponseParser::Outcome::need_more) {
      received_ = "status " + std::to_string(upgrade_->status());
    }
    if (outcome != gateway::UpgradeResponseParser::Outcome::need_more) upgrade_.reset();
  }
  if (!websocket_) {
    received_.append(bytes);
    return;
  }
  for (;;) {
    const auto event = websocket_->receive(bytes, waiting_);
    const bool is_message =
        event == gateway::WebSocket::Event::text || event == gateway::WebSocket::Event::binary;
    if (!is_message) return;
    messages_.push_back(websocket_->message());
  }
}

void SocketClient::send_raw(std::string_view bytes) {
  raw_.append(bytes);
}
void SocketClient::send(std::string_view plaintext) {
  waiting_.append(plaintext);
}
void SocketClient::send_frames(std::string_view frames) {
  waiting_.append(frames);
}
void SocketClient::send_text(std::string_view message) {
  websocket_->send_text(message, waiting_);
}
void SocketClient::close_websocket(std::uint16_t code) {
  websocket_->close(code, {}, waiting_);
}

void SocketClient::open_websocket(std::string_view target) {
  const std::string key = gateway::make_websocket_key();
  upgrade_ = std::make_unique<gateway::UpgradeResponseParser>(key);
  waiting_.append(gateway::write_upgrade_request("localhost", target, key));
}

void SocketClient::end_output() {
  flush();
  ::shutdown(descriptor_, SHUT_WR);
}

void SocketClient::reset() {
  const struct linger reset_at_close { 1, 0 };
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &reset_at_close, sizeof(reset_at_close));
  ::close(descriptor_);
  // Keeps the number valid for the destructor.
  descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  has_ended_ = true;
}

}  // namespace earshot::test
