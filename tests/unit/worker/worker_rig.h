// A worker group on loopback with clients on real sockets, and what a controller would do for them.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "relay/worker/worker_group.h"
#include "tests/support/core_rig.h"
#include "tests/support/media_client.h"

namespace earshot::test {

inline constexpr std::uint8_t silence[] = {0xF8, 0xFF, 0xFE};

// A client's UDP socket on loopback, IPv4 or IPv6.
class ClientSocket {
 public:
  explicit ClientSocket(const Endpoint& relay) : is_v4_(relay.ip.is_v4()) {
    fd_ = socket(is_v4_ ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
    REQUIRE(fd_ >= 0);
    if (is_v4_) {
      sockaddr_in a{};
      a.sin_family = AF_INET;
      a.sin_port = htons(relay.port);
      a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      REQUIRE(connect(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
    } else {
      sockaddr_in6 a{};
      a.sin6_family = AF_INET6;
      a.sin6_port = htons(relay.port);
      a.sin6_addr = in6addr_loopback;
      REQUIRE(connect(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
    }
  }
  ~ClientSocket() { close(fd_); }
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  Endpoint address() const {
    sockaddr_storage s{};
    socklen_t size = sizeof s;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&s), &size);
    if (is_v4_) return {make_v4(127, 0, 0, 1), ntohs(reinterpret_cast<sockaddr_in&>(s).sin_port)};
    return {*IpAddress::parse("::1"), ntohs(reinterpret_cast<sockaddr_in6&>(s).sin6_port)};
  }
  void send(const std::vector<std::uint8_t>& bytes) const {
    REQUIRE(::send(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }
  // Empty after `wait_ms` without a datagram.
  std::vector<std::uint8_t> receive(int wait_ms = 2'000) const {
    pollfd p{fd_, POLLIN, 0};
    if (poll(&p, 1, wait_ms) != 1) return {};
    std::vector<std::uint8_t> bytes(2'000);
    const ssize_t size = recv(fd_, bytes.data(), bytes.size(), 0);
    bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return bytes;
  }

 private:
  int fd_ = -1;
  bool is_v4_;
};

struct Party {
  SlotRef slot;
  std::unique_ptr<MediaClient> media;
  std::unique_ptr<ClientSocket> socket;
};

class WorkerRig {
 public:
  explicit WorkerRig(std::size_t workers) {
    REQUIRE(crypto::initialize());
    WorkerGroupOptions o;
    o.listen = {IpAddress{}, 0};
    o.workers_count = workers;
    o.sessions_per_worker_max = 64;
    o.loopback_only = true;
    o.wake_controller = [this] { ++wakes; };
    auto created = WorkerGroup::create(o);
    REQUIRE(created.ok());
    group = std::move(created.value());
    relay_v4 = {make_v4(127, 0, 0, 1), group->bound().port};
    relay_v6 = {*IpAddress::parse("::1"), group->bound().port};
  }

  void send(std::uint8_t worker, const Command& command) {
    const std::uint64_t number = group->send({worker}, command);
    wait([&] {
      group->flush();
      return group->completed({worker}) >= number;
    });
  }
  void send_all(const Command& command) {
    for (std::uint8_t w = 0; w < group->size(); ++w) send(w, command);
  }

  Party join(std::uint8_t worker, std::uint16_t slot, ChannelRef channel, const Endpoint& relay) {
    Party p;
    p.slot = {make_ssrc({0}, {worker}, {slot}), {++generation}};
    p.socket = std::make_unique<ClientSocket>(relay);
    const auto mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
    const auto key = test_key(generation);
    p.media = std::make_unique<MediaClient>(p.slot.ssrc, mode, key);
    send(worker, OpenSlot{p.slot, channel, {}, false, false, p.socket->address().ip});
    for (std::uint8_t w = 0; w < group->size(); ++w) {
      if (w != worker) send(w, OpenRemoteSlot{p.slot, channel, false});
    }
    send(worker, InstallKey{p.slot, mode, key, p.socket->address(), 5});
    send(worker, StartSending{p.slot});
    return p;
  }

  // Sums the counters once nothing moves any more.
  Counters settled() {
    Counters last;
    for (int i = 0; i < 200; ++i) {
      Counters sum;
      for (std::uint8_t w = 0; w < group->size(); ++w) {
        const Counters c = group->counters({w});
        CHECK(c.is_conserved());
        for (std::size_t k = 0; k < counters_count; ++k) sum.values[k] += c.values[k];
        for (std::size_t k = 0; k < drop_reasons_count; ++k) sum.drops[k] += c.drops[k];
        for (std::size_t k = 0; k < drop_reasons_count; ++k)
          sum.forward_drops[k] += c.forward_drops[k];
      }
      if (i > 5 && sum.values == last.values) return sum;
      last = sum;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL("the workers never came to rest");
    return last;
  }

  template <typename F>
  static void wait(F&& is_done) {
    for (int i = 0; i < 5'000; ++i) {
      if (is_done()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    FAIL("waited too long");
  }

  std::unique_ptr<WorkerGroup> group;
  Endpoint relay_v4;
  Endpoint relay_v6;
  std::atomic<int> wakes{0};
  std::uint32_t generation = 0;
};

inline void check_conservation(const Counters& c) {
  CHECK(c[Counter::handed_over] == c[Counter::taken_over] + c[Counter::hand_overs_refused]);
  CHECK(c[Counter::forwards_offered] == c[Counter::forwards_taken] + c[Counter::forwards_refused]);
  CHECK(c[Counter::datagrams_offered] == c[Counter::datagrams_sent] + c[Counter::send_drops]);
}

}  // namespace earshot::test
