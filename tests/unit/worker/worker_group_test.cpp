#include "relay/worker/worker_group.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "relay/wire/discovery.h"
#include "tests/support/allocation_count.h"
#include "tests/support/core_rig.h"
#include "tests/support/media_client.h"

using namespace earshot;
using namespace earshot::test;

namespace {

constexpr std::uint8_t silence[] = {0xF8, 0xFF, 0xFE};

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

class Rig {
 public:
  explicit Rig(std::size_t workers) {
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

void check_conservation(const Counters& c) {
  CHECK(c[Counter::handed_over] == c[Counter::taken_over] + c[Counter::hand_overs_refused]);
  CHECK(c[Counter::forwards_offered] == c[Counter::forwards_taken] + c[Counter::forwards_refused]);
  CHECK(c[Counter::datagrams_offered] == c[Counter::datagrams_sent] + c[Counter::send_drops]);
}

}  // namespace

TEST_CASE("packets cross one worker between real sockets, IPv4 and IPv6") {
  Rig rig(1);
  const ChannelRef channel{{0}, {1}};
  rig.send(0, OpenChannel{channel});
  Party a = rig.join(0, 1, channel, rig.relay_v4);
  Party b = rig.join(0, 2, channel, rig.relay_v6);
  for (std::uint16_t i = 0; i < 50; ++i) {
    a.socket->send(a.media->seal(i, 960u * i, silence));
    const auto heard = b.media->open(b.socket->receive());
    REQUIRE(heard.has_value());
    CHECK(heard->ssrc == a.slot.ssrc);
    CHECK(heard->sequence == i);
    b.socket->send(b.media->seal(i, 960u * i, silence));
    CHECK(a.media->open(a.socket->receive()).has_value());
  }
  std::array<std::uint8_t, wire::discovery_size> request;
  wire::write_discovery_request(request, a.slot.ssrc);
  a.socket->send({request.begin(), request.end()});
  const auto reply = wire::parse_discovery_reply(a.socket->receive());
  REQUIRE(reply.has_value());
  CHECK(reply->seen == a.socket->address());
  const Counters c = rig.settled();
  check_conservation(c);
  CHECK(c[Counter::accepted] == 100);
  CHECK(rig.wakes > 0);
  CHECK(get(rig.group->stats(a.slot.ssrc).packets_received) == 50);
}

TEST_CASE("a channel that spans two workers is one channel") {
  Rig rig(2);
  const ChannelRef channel{{0}, {1}};
  rig.send_all(OpenChannel{channel});
  rig.send_all(SetChannelWorkers{channel, 0b11});
  std::vector<Party> parties;
  for (std::uint16_t i = 0; i < 6; ++i) {
    parties.push_back(rig.join(static_cast<std::uint8_t>(i % 2), i, channel,
                               i < 3 ? rig.relay_v4 : rig.relay_v6));
  }
  for (std::uint16_t round = 0; round < 20; ++round) {
    for (Party& speaker : parties) {
      speaker.socket->send(speaker.media->seal(round, 960u * round, silence));
      for (Party& listener : parties) {
        if (&listener == &speaker) continue;
        const auto heard = listener.media->open(listener.socket->receive());
        REQUIRE(heard.has_value());
        CHECK(heard->ssrc == speaker.slot.ssrc);
        CHECK(heard->sequence == round);
      }
    }
  }
  const Counters c = rig.settled();
  check_conservation(c);
  CHECK(c[Counter::accepted] == 120);
  CHECK(c[Counter::forwards_taken] == 120);
  // The kernel steers by SSRC: nothing needed to be handed over.
  CHECK(c[Counter::handed_over] == 0);
  for (Party& p : parties) CHECK(p.socket->receive(0).empty());

  // A leave on the home worker, then on the other, leaves no straggler.
  rig.send(0, CloseSlot{parties[0].slot});
  rig.send(1, CloseSlot{parties[0].slot});
  parties[0].socket->send(parties[0].media->seal(99, 0, silence));
  CHECK(parties[1].socket->receive(100).empty());
}

TEST_CASE("commands beyond the credit wait in order and are all executed") {
  Rig rig(1);
  const ChannelRef channel{{0}, {1}};
  std::uint64_t last = rig.group->send({0}, OpenChannel{channel});
  for (int i = 0; i < 5'000; ++i) last = rig.group->send({0}, SetChannelWorkers{channel, 1});
  last = rig.group->send({0}, CloseChannel{channel});
  CHECK(last == 5'002);
  Rig::wait([&] {
    rig.group->flush();
    return rig.group->completed({0}) == last;
  });
}

TEST_CASE("an address that ICMP calls unreachable gets nothing until it is heard of") {
  for (const std::size_t workers : {1, 2}) {
    Rig rig(workers);
    const ChannelRef channel{{0}, {1}};
    rig.send_all(OpenChannel{channel});
    rig.send_all(SetChannelWorkers{channel, workers == 2 ? 3u : 1u});
    Party a = rig.join(0, 1, channel, rig.relay_v4);
    Party b = rig.join(static_cast<std::uint8_t>(workers - 1), 2, channel, rig.relay_v4);
    rig.send(0, TrackAddress{b.slot, b.socket->address()});
    b.socket.reset();
    std::uint16_t sequence = 0;
    Rig::wait([&] {
      a.socket->send(a.media->seal(sequence, 960u * sequence, silence));
      ++sequence;
      return get(rig.group->stats(b.slot.ssrc).unreachable_ns) != 0;
    });
    rig.settled();
    const std::uint64_t before = get(rig.group->stats(b.slot.ssrc).packets_sent);
    for (int i = 0; i < 20; ++i) {
      a.socket->send(a.media->seal(sequence, 960u * sequence, silence));
      ++sequence;
    }
    check_conservation(rig.settled());
    CHECK(get(rig.group->stats(b.slot.ssrc).packets_sent) == before);
  }
}

TEST_CASE("events reach the controller") {
  Rig rig(1);
  const ChannelRef channel{{0}, {1}};
  rig.send(0, OpenChannel{channel});
  Party a = rig.join(0, 1, channel, rig.relay_v4);
  Event event;
  Rig::wait([&] { return rig.group->poll_event(event); });
  CHECK(event.kind == EventKind::address_changed);
  CHECK(event.slot == a.slot);
  CHECK(event.remote == a.socket->address());
}

TEST_CASE("a port in use is one sentence") {
  Rig rig(2);
  WorkerGroupOptions o;
  o.listen = {IpAddress{}, rig.group->bound().port};
  o.wake_controller = [] {};
  const auto second = WorkerGroup::create(o);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().text == "UDP address [::]:" + std::to_string(o.listen.port) + ": is in use");
}

TEST_CASE("the packet path allocates nothing after start") {
  Rig rig(2);
  const ChannelRef channel{{0}, {1}};
  rig.send_all(OpenChannel{channel});
  rig.send_all(SetChannelWorkers{channel, 0b11});
  Party a = rig.join(0, 1, channel, rig.relay_v4);
  Party b = rig.join(1, 2, channel, rig.relay_v4);
  std::vector<std::vector<std::uint8_t>> datagrams;
  for (std::uint16_t i = 0; i < 300; ++i) datagrams.push_back(a.media->seal(i, 960u * i, silence));
  begin_counting_allocations();
  std::size_t heard = 0;
  for (const auto& d : datagrams) {
    a.socket->send(d);
    heard += b.socket->receive().empty() ? 0u : 1u;
  }
  CHECK(end_counting_allocations() == 0);
  CHECK(heard == 300);
}
