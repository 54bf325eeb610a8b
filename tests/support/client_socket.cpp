#include "tests/support/client_socket.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/base/check.h"

namespace earshot::test {

ClientSocket::ClientSocket(const Endpoint& relay) : is_v4_(relay.ip.is_v4()) {
  fd_ = ::socket(is_v4_ ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  RELAY_CHECK(fd_ >= 0);
  if (is_v4_) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(relay.port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    RELAY_CHECK(::connect(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
  } else {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(relay.port);
    a.sin6_addr = in6addr_loopback;
    RELAY_CHECK(::connect(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
  }
}

ClientSocket::~ClientSocket() {
  ::close(fd_);
}

Endpoint ClientSocket::address() const {
  sockaddr_storage s{};
  socklen_t size = sizeof s;
  ::getsockname(fd_, reinterpret_cast<sockaddr*>(&s), &size);
  if (is_v4_) return {make_v4(127, 0, 0, 1), ntohs(reinterpret_cast<sockaddr_in&>(s).sin_port)};
  return {*IpAddress::parse("::1"), ntohs(reinterpret_cast<sockaddr_in6&>(s).sin6_port)};
}

void ClientSocket::send(const std::vector<std::uint8_t>& bytes) const {
  RELAY_CHECK(::send(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
}

std::vector<std::uint8_t> ClientSocket::receive(int wait_ms) const {
  pollfd p{fd_, POLLIN, 0};
  if (::poll(&p, 1, wait_ms) != 1) return {};
  std::vector<std::uint8_t> bytes(2'000);
  const ssize_t size = ::recv(fd_, bytes.data(), bytes.size(), 0);
  bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return bytes;
}

}  // namespace earshot::test
