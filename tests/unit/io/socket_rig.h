// A foreign UDP socket on loopback, and a sendmmsg that can be told to fail.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "relay/base/address.h"

namespace earshot::test {

class Peer {
 public:
  explicit Peer(bool is_v4) : is_v4_(is_v4) {
    fd_ = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd_ >= 0);
    sockaddr_storage any{};
    any.ss_family = is_v4 ? AF_INET : AF_INET6;
    const socklen_t size = is_v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (is_v4) reinterpret_cast<sockaddr_in&>(any).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!is_v4) reinterpret_cast<sockaddr_in6&>(any).sin6_addr = in6addr_loopback;
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&any), size) == 0);
  }
  ~Peer() { close(fd_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  Endpoint address() const {
    sockaddr_storage s{};
    socklen_t size = sizeof s;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&s), &size);
    if (is_v4_) return {make_v4(127, 0, 0, 1), ntohs(reinterpret_cast<sockaddr_in&>(s).sin_port)};
    return {*IpAddress::parse("::1"), ntohs(reinterpret_cast<sockaddr_in6&>(s).sin6_port)};
  }
  // To 127.0.0.`host`, or ::1.
  void send(std::uint16_t port, const std::vector<std::uint8_t>& bytes,
            std::uint8_t host = 1) const {
    sockaddr_storage to{};
    to.ss_family = is_v4_ ? AF_INET : AF_INET6;
    if (is_v4_) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(to);
      v4.sin_port = htons(port);
      v4.sin_addr.s_addr = htonl(0x7F000000u | host);
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(to);
      v6.sin6_port = htons(port);
      v6.sin6_addr = in6addr_loopback;
    }
    const socklen_t size = is_v4_ ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    REQUIRE(sendto(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), size) ==
            static_cast<ssize_t>(bytes.size()));
  }
  struct Received {
    std::vector<std::uint8_t> bytes;
    Endpoint from;
  };
  // No bytes after `wait_ms` without a datagram.
  Received receive(int wait_ms = 1'000) const {
    pollfd p{fd_, POLLIN, 0};
    if (poll(&p, 1, wait_ms) != 1) return {};
    Received r;
    r.bytes.resize(3'000);
    sockaddr_storage s{};
    socklen_t size = sizeof s;
    const ssize_t n =
        recvfrom(fd_, r.bytes.data(), r.bytes.size(), 0, reinterpret_cast<sockaddr*>(&s), &size);
    r.bytes.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    if (s.ss_family == AF_INET) {
      const auto& v4 = reinterpret_cast<sockaddr_in&>(s);
      const std::uint32_t ip = ntohl(v4.sin_addr.s_addr);
      r.from = {make_v4(static_cast<std::uint8_t>(ip >> 24), static_cast<std::uint8_t>(ip >> 16),
                        static_cast<std::uint8_t>(ip >> 8), static_cast<std::uint8_t>(ip)),
                ntohs(v4.sin_port)};
    } else {
      const auto& v6 = reinterpret_cast<sockaddr_in6&>(s);
      std::memcpy(r.from.ip.bytes.data(), &v6.sin6_addr, 16);
      r.from.port = ntohs(v6.sin6_port);
    }
    return r;
  }

 private:
  int fd_ = -1;
  bool is_v4_;
};

// What the next calls of sendmmsg answer in this program: 0 passes on to the kernel, an errno
// fails, and -n lets n datagrams through. Empty: the kernel.
extern std::vector<int> sendmmsg_script;

}  // namespace earshot::test
