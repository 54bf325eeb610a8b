// An Endpoint as the kernel wants it. Any thread.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "relay/base/address.h"

namespace earshot::load {

class SocketAddress {
 public:
  explicit SocketAddress(const Endpoint& endpoint) {
    if (endpoint.ip.is_v4()) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(storage_);
      v4.sin_family = AF_INET;
      v4.sin_port = htons(endpoint.port);
      std::memcpy(&v4.sin_addr, endpoint.ip.bytes.data() + 12, 4);
      size_ = sizeof v4;
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(storage_);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(endpoint.port);
      std::memcpy(&v6.sin6_addr, endpoint.ip.bytes.data(), 16);
      size_ = sizeof v6;
    }
  }

  int family() const { return storage_.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

// Network order, as in sin_addr.s_addr; 0 for IPv6.
inline std::uint32_t v4_bits(const IpAddress& ip) {
  std::uint32_t bits = 0;
  if (ip.is_v4()) std::memcpy(&bits, ip.bytes.data() + 12, 4);
  return bits;
}

}  // namespace earshot::load
