#include "relay/io/steering.h"

#include <doctest/doctest.h>

#include "relay/base/ids.h"
#include "relay/io/udp_socket.h"
#include "tests/unit/io/socket_rig.h"

using namespace earshot;
using namespace earshot::io;
using namespace earshot::test;

namespace {

std::vector<std::uint8_t> with_u32(std::vector<std::uint8_t> front, std::size_t at,
                                   std::uint32_t value, std::size_t size) {
  front.resize(size);
  for (std::size_t i = 0; i < 4; ++i)
    front[at + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  return front;
}

}  // namespace

TEST_CASE("the kernel gives every datagram to the worker that its SSRC names") {
  constexpr std::size_t workers = 3;
  auto group = UdpSocket::open_group({IpAddress{}, 0}, workers);
  REQUIRE(group.ok());
  REQUIRE(steer_by_ssrc(group.value()[0].fd(), workers).ok());
  std::vector<BatchReceiver> receivers(workers);
  const std::uint16_t port = group.value()[0].bound().port;
  const Peer v4(true);
  const Peer v6(false);

  struct Case {
    std::vector<std::uint8_t> bytes;
    std::size_t worker;
  };
  std::vector<Case> cases;
  for (std::uint8_t w = 0; w < 5; ++w) {
    const std::uint32_t ssrc = make_ssrc({0x3FF}, {w}, {0xBEEF}).value;
    const std::size_t expected = w < workers ? w : 0;  // of no worker: the first sees to it
    cases.push_back({with_u32({0x80, 0x78}, 8, ssrc, 12), expected});
    cases.push_back({with_u32({0xBF, 0xF8}, 8, ssrc, 200), expected});
    cases.push_back({with_u32({0x80, 199}, 8, ssrc, 40), expected});
    cases.push_back({with_u32({0x80, 208}, 8, ssrc, 40), expected});
    cases.push_back({with_u32({0x80, 200}, 4, ssrc, 12), expected});
    cases.push_back({with_u32({0x81, 207}, 4, ssrc, 40), expected});
    cases.push_back({with_u32({0, 1, 0, 70}, 4, ssrc, 74), expected});
    cases.push_back({with_u32({0xC0}, 4, ssrc, 40), expected});
    cases.push_back({with_u32({0xFF, 0xFF}, 4, ssrc, 12), expected});
    // Neither: STUN's and DTLS's first bytes.
    cases.push_back({with_u32({1, 1, 0, 0}, 4, ssrc, 40), 0});
    cases.push_back({with_u32({22, 0xFE, 0xFD}, 8, ssrc, 40), 0});
    // Shorter than any of them: keep-alives are the first worker's.
    for (std::size_t size = 4; size < 12; ++size)
      cases.push_back({std::vector<std::uint8_t>(size, static_cast<std::uint8_t>(0x80 | w)), 0});
  }
  for (std::size_t size = 0; size < 4; ++size)
    cases.push_back({std::vector<std::uint8_t>(size, 0xFF), 0});
  for (const Case& c : cases) {
    for (const Peer* peer : {&v4, &v6}) {
      peer->send(port, c.bytes);
      for (std::size_t w = 0; w < workers; ++w) {
        const auto batch = receivers[w].receive(group.value()[w]);
        CAPTURE(w);
        CAPTURE(c.worker);
        CAPTURE(c.bytes.size());
        REQUIRE(batch.datagrams.size() == (w == c.worker ? 1 : 0));
      }
    }
  }
}
