#include "tools/client/media_transport.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <vector>

#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"
#include "tests/support/media_client.h"

using namespace earshot;
using namespace earshot::client;
using Bytes = std::vector<std::uint8_t>;

namespace {

constexpr Ssrc ssrc{0x00010005};

// A UDP socket that plays the relay, in either family.
class FakeRelay {
 public:
  explicit FakeRelay(bool is_v6 = false) : is_v6_(is_v6) {
    descriptor_ = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(descriptor_ >= 0);
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(is_v6 ? AF_INET6 : AF_INET);
    if (is_v6) reinterpret_cast<sockaddr_in6&>(address).sin6_addr = in6addr_loopback;
    if (!is_v6) {
      reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    REQUIRE(bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~FakeRelay() { close(descriptor_); }
  FakeRelay(const FakeRelay&) = delete;
  FakeRelay& operator=(const FakeRelay&) = delete;

  Endpoint endpoint() const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size);
    return {*IpAddress::parse(is_v6_ ? "::1" : "127.0.0.1"), port_of(address)};
  }
  std::optional<Bytes> receive() {
    Bytes bytes(2'048);
    size_ = sizeof from_;
    const auto got = recvfrom(descriptor_, bytes.data(), bytes.size(), 0,
                              reinterpret_cast<sockaddr*>(&from_), &size_);
    if (got < 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
  }
  // To whoever was received from last.
  void send(const Bytes& bytes) {
    sendto(descriptor_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from_), size_);
  }
  std::uint16_t port_of_client() const { return port_of(from_); }
  void answer_from(FakeRelay& other, const Bytes& bytes) {
    sendto(other.descriptor_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from_),
           size_);
  }

 private:
  static std::uint16_t port_of(const sockaddr_storage& address) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  }
  bool is_v6_;
  int descriptor_ = -1;
  sockaddr_storage from_{};
  socklen_t size_ = 0;
};

struct Rig {
  explicit Rig(MediaOptions options = quiet(), bool is_v6 = false)
      : relay(is_v6), transport(loop.get(), options, events()) {
    key.fill(9);
    REQUIRE(transport.open(relay.endpoint(), ssrc));
  }
  static MediaOptions quiet() {
    MediaOptions options;
    options.keep_alive_interval = {};
    return options;
  }
  MediaEvents events() {
    MediaEvents events;
    events.on_discovered = [this](const Result<Endpoint>& seen) { discovered.push_back(seen); };
    events.on_packet = [this](const ReceivedPacket& packet) {
      packets.push_back(packet);
      frames.emplace_back(packet.frame.begin(), packet.frame.end());
    };
    return events;
  }
  Bytes next() {
    std::optional<Bytes> bytes;
    REQUIRE(loop.run_until([&] { return (bytes = relay.receive()).has_value(); }, seconds(2)));
    return *bytes;
  }
  static Bytes reply(Ssrc to, const Endpoint& seen) {
    std::array<std::uint8_t, wire::discovery_size> bytes;
    wire::write_discovery_reply(bytes, to, seen);
    return {bytes.begin(), bytes.end()};
  }

  Loop loop;
  FakeRelay relay;
  std::array<std::uint8_t, crypto::key_size> key{};
  std::vector<Result<Endpoint>> discovered;
  std::vector<ReceivedPacket> packets;
  std::vector<Bytes> frames;
  MediaTransport transport;
};

}  // namespace

TEST_CASE("IP discovery tells the address that the relay saw, in both families") {
  for (const bool is_v6 : {false, true}) {
    CAPTURE(is_v6);
    Rig rig(Rig::quiet(), is_v6);
    rig.transport.discover();
    const Bytes request = rig.next();
    CHECK(wire::parse_discovery_request(request) == ssrc);
    const Endpoint seen{*IpAddress::parse(is_v6 ? "2001:db8::7" : "192.0.2.7"), 5'000};
    // Replies for another SSRC, from another port, or twice change nothing.
    FakeRelay stranger(is_v6);
    rig.relay.answer_from(stranger, Rig::reply(ssrc, {make_v4(6, 6, 6, 6), 666}));
    rig.relay.send(Rig::reply({1}, {make_v4(6, 6, 6, 6), 666}));
    rig.relay.send(Rig::reply(ssrc, seen));
    rig.relay.send(Rig::reply(ssrc, seen));
    REQUIRE(rig.loop.run_until([&] { return !rig.discovered.empty(); }, seconds(2)));
    rig.loop.run_for(milliseconds(30));
    REQUIRE(rig.discovered.size() == 1);
    CHECK(rig.discovered[0].value() == seen);
    CHECK_FALSE(rig.relay.receive());
  }
}

TEST_CASE("IP discovery asks again, and gives up with a sentence") {
  MediaOptions options = Rig::quiet();
  options.discovery_retry = milliseconds(10);
  options.discovery_attempts_max = 3;
  Rig rig(options);
  rig.transport.discover();
  REQUIRE(rig.loop.run_until([&] { return !rig.discovered.empty(); }, seconds(2)));
  REQUIRE_FALSE(rig.discovered[0]);
  CHECK(rig.discovered[0].error().text ==
        "no answer to IP discovery from " + rig.relay.endpoint().to_string() + " (UDP blocked?)");
  for (int i = 0; i < 3; ++i) CHECK(rig.relay.receive());
  CHECK_FALSE(rig.relay.receive());
}

TEST_CASE("packets are sealed as the relay opens them, and the other way round") {
  for (const auto mode :
       {crypto::AeadMode::aes256_gcm_rtpsize, crypto::AeadMode::xchacha20_poly1305_rtpsize}) {
    if (!crypto::is_available(mode)) continue;
    for (const auto order :
         {client::CounterOrder::big_endian, client::CounterOrder::little_endian}) {
      MediaOptions options = Rig::quiet();
      options.counter_start = 0xFFFFFFFE;
      options.counter_order = order;
      Rig rig(options);
      const Bytes frame(100, 3);
      CHECK_FALSE(rig.transport.send(1, 2, frame));
      rig.transport.set_key(mode, rig.key);
      test::MediaClient peer(ssrc, mode, rig.key, 5);
      std::vector<crypto::Counter> counters;
      for (std::uint16_t i = 0; i < 3; ++i) {
        CHECK(rig.transport.send(i, i * 960u, frame));
        const auto opened = peer.open(rig.next());
        REQUIRE(opened);
        CHECK(opened->ssrc == ssrc);
        CHECK(opened->sequence == i);
        CHECK(opened->timestamp == i * 960u);
        CHECK(opened->frame == frame);
        counters.push_back(opened->counter);
      }
      const bool is_big = order == client::CounterOrder::big_endian;
      CHECK(counters[0] == (is_big ? crypto::Counter{0xFF, 0xFF, 0xFF, 0xFE}
                                   : crypto::Counter{0xFE, 0xFF, 0xFF, 0xFF}));
      CHECK(counters[2] == crypto::Counter{});
      rig.relay.send(peer.seal(7, 8, frame));
      REQUIRE(rig.loop.run_until([&] { return rig.packets.size() == 1; }, seconds(2)));
      CHECK(rig.packets[0].ssrc == ssrc);
      CHECK(rig.packets[0].sequence == 7);
      CHECK(rig.packets[0].timestamp == 8);
      CHECK(rig.frames[0] == frame);
      CHECK(monotonic_now() - rig.packets[0].arrival < seconds(1));
      CHECK(rig.transport.counters().sent == 3);
      CHECK(rig.transport.counters().received == 1);
    }
  }
}

TEST_CASE("what does not authenticate, or is nothing we know, is counted and gone") {
  Rig rig;
  const auto mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  rig.transport.send_raw(Bytes{1});
  rig.next();
  test::MediaClient peer(ssrc, mode, rig.key, 5);
  const Bytes good = peer.seal(1, 2, Bytes(50, 1));
  // Before the key nothing is a packet.
  rig.relay.send(good);
  REQUIRE(rig.loop.run_until([&] { return rig.transport.counters().unexpected == 1; }, seconds(2)));
  rig.transport.set_key(mode, rig.key);
  Bytes forged = good;
  forged[20] ^= 1;
  rig.relay.send(forged);
  REQUIRE(rig.loop.run_until([&] { return rig.transport.counters().unauthenticated == 1; },
                             seconds(2)));
  std::uint64_t unexpected = 1;
  for (std::size_t size = 0; size <= 2'000; size += size < 100 ? 1 : 37) {
    Bytes garbage(size, 0x80);
    if (size > 1) garbage[1] = 0x78;
    rig.relay.send(garbage);
    ++unexpected;
  }
  rig.relay.send(good);
  REQUIRE(rig.loop.run_until([&] { return rig.packets.size() == 1; }, seconds(2)));
  const auto& counters = rig.transport.counters();
  CHECK(counters.unexpected + counters.unauthenticated == unexpected + 1);
  CHECK(counters.received == 1);
}

TEST_CASE("a frame that is too large is not sent") {
  Rig rig;
  rig.transport.set_key(crypto::AeadMode::xchacha20_poly1305_rtpsize, rig.key);
  CHECK(rig.transport.send(1, 1, Bytes(1'468)));
  CHECK_FALSE(rig.transport.send(2, 2, Bytes(1'469)));
  CHECK(rig.next().size() == 1'500);
}

TEST_CASE("keep-alives start with the key and carry a little-endian number") {
  MediaOptions options;
  options.keep_alive_interval = milliseconds(10);
  Rig rig(options);
  rig.loop.run_for(milliseconds(30));
  CHECK_FALSE(rig.relay.receive());
  rig.transport.set_key(crypto::AeadMode::xchacha20_poly1305_rtpsize, rig.key);
  CHECK(rig.next() == Bytes{0, 0, 0, 0, 0, 0, 0, 0});
  CHECK(rig.next() == Bytes{1, 0, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("after a rebinding packets come from a new port and arrive there") {
  Rig rig;
  const auto mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  rig.transport.set_key(mode, rig.key);
  test::MediaClient peer(ssrc, mode, rig.key, 5);
  rig.transport.send(1, 1, Bytes(10));
  rig.next();
  const auto before = rig.relay.port_of_client();
  CHECK(before == rig.transport.local().port);
  REQUIRE(rig.transport.rebind());
  rig.transport.send(2, 2, Bytes(10));
  rig.next();
  CHECK(rig.relay.port_of_client() != before);
  CHECK(rig.relay.port_of_client() == rig.transport.local().port);
  rig.relay.send(peer.seal(1, 2, Bytes(50, 1)));
  CHECK(rig.loop.run_until([&] { return rig.packets.size() == 1; }, seconds(2)));
}

TEST_CASE("a key that differs from the relay's opens nothing and is opened by nobody") {
  Rig rig;
  const auto mode = crypto::AeadMode::xchacha20_poly1305_rtpsize;
  rig.transport.set_key(mode, rig.key);
  rig.transport.corrupt_key();
  test::MediaClient peer(ssrc, mode, rig.key, 5);
  rig.transport.send(1, 1, Bytes(10));
  CHECK_FALSE(peer.open(rig.next()));
  rig.relay.send(peer.seal(1, 2, Bytes(50, 1)));
  CHECK(rig.loop.run_until([&] { return rig.transport.counters().unauthenticated == 1; },
                           seconds(2)));
}
