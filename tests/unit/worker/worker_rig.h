// A worker group on loopback with clients on real sockets, and what a controller would do for them.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "relay/worker/worker_group.h"
#include "tests/support/client_socket.h"
#include "tests/support/core_rig.h"
#include "tests/support/media_client.h"

namespace earshot::test {

inline constexpr std::uint8_t silence[] = {0xF8, 0xFF, 0xFE};

struct Party {
  SlotRef slot;
  std::unique_ptr<MediaClient> media;
  std::unique_ptr<ClientSocket> socket;
};

class WorkerRig {
 public:
  explicit WorkerRig(std::size_t workers, std::size_t sessions_per_worker_max = 64) {
    REQUIRE(crypto::initialize());
    WorkerGroupOptions o;
    o.listen = {IpAddress{}, 0};
    o.workers_count = workers;
    o.sessions_per_worker_max = sessions_per_worker_max;
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
