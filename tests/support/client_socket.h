// A client's UDP socket on loopback, IPv4 or IPv6, connected to a relay. Tests only.
#pragma once

#include <cstdint>
#include <vector>

#include "relay/base/address.h"

namespace earshot::test {

class ClientSocket {
 public:
  explicit ClientSocket(const Endpoint& relay);
  ~ClientSocket();
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  Endpoint address() const;
  void send(const std::vector<std::uint8_t>& bytes) const;
  // Empty after `wait_ms` without a datagram.
  std::vector<std::uint8_t> receive(int wait_ms = 10'000) const;

 private:
  int fd_ = -1;
  bool is_v4_;
};

}  // namespace earshot::test
