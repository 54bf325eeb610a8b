// A UDP socket that sends a test's bytes to a relay and keeps what comes back. On the world's loop.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/e2e/world.h"
#include "tools/client/media_socket.h"

namespace earshot::test {

class UdpPort {
 public:
  UdpPort(World& world, const Endpoint& relay) {
    auto opened = client::MediaSocket::open(
        world.loop.get(), relay, [this](std::span<std::uint8_t> datagram, Time) {
          received.emplace_back(datagram.begin(), datagram.end());
        });
    REQUIRE(opened);
    socket_ = std::move(opened.value());
  }

  bool send(const std::vector<std::uint8_t>& datagram) { return socket_->send(datagram); }
  Endpoint local() const { return socket_->local(); }

  std::vector<std::vector<std::uint8_t>> received;

 private:
  std::unique_ptr<client::MediaSocket> socket_;
};

}  // namespace earshot::test
