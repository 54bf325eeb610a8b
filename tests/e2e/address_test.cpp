// Participants whose address changes in mid-call, and those who only pretend.
#include <doctest/doctest.h>

#include "codec/opus.h"
#include "relay/wire/discovery.h"
#include "tests/e2e/raw_client.h"
#include "tests/e2e/udp_port.h"

using namespace earshot;
using namespace earshot::test;
using Bytes = std::vector<std::uint8_t>;

namespace {

// A session whose packets a test seals itself and sends from where it likes.
struct Sealer {
  Sealer(World& world, const std::string& user)
      : session(world, make_claims(user)),
        packets(session.ssrc, crypto::AeadMode::xchacha20_poly1305_rtpsize, session.key, 1'000) {}

  Bytes next() {
    timestamp += codec::frame_samples_20ms;
    return packets.seal(sequence++, timestamp, codec::silence_frame);
  }

  RawSession session;
  MediaClient packets;
  std::uint16_t sequence = 1'000;
  std::uint32_t timestamp = 0;
};

}  // namespace

TEST_CASE("a speaker's port changes: both directions go on within a second") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  world.settle();
  world.speak(alice);
  world.speak(bob, 600);
  REQUIRE(world.run_until(
      [&] { return bob.received_from(alice) > 50 && alice.received_from(bob) > 50; }));
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    const auto before = alice.client->media()->local().port;
    REQUIRE(alice.client->media()->rebind());
    CHECK(alice.client->media()->local().port != before);
    world.run_for(milliseconds(1'300));
  }
  world.fall_silent(alice);
  world.fall_silent(bob);
  world.settle();
  // What was on its way to the old port is lost, and no more.
  CHECK(bob.packets[alice.ssrc()].gap_max < seconds(1));
  CHECK(alice.packets[bob.ssrc()].gap_max < seconds(1));
  CHECK(bob.heard("alice")->received == alice.client->frames_sent());
  CHECK(alice.heard("bob")->lost <= 6);
  CHECK(alice.interruptions.empty());
}

TEST_CASE("a second change within a second waits for that second, and no longer") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  world.settle();
  world.speak(alice);
  world.speak(bob, 600);
  REQUIRE(world.run_until([&] { return alice.received_from(bob) > 20; }));
  REQUIRE(alice.client->media()->rebind());
  world.run_for(milliseconds(300));
  REQUIRE(alice.client->media()->rebind());
  alice.forget_packets();
  world.run_for(milliseconds(1'500));
  CHECK(alice.packets[bob.ssrc()].count > 20);
  CHECK(bob.packets[alice.ssrc()].gap_max < milliseconds(500));
}

TEST_CASE("replayed and reordered packets from elsewhere do not move the participant") {
  World world;
  Participant& bob = world.join("bob", "channel", counting());
  Sealer alice(world, "alice");
  UdpPort home(world, world.relay.media());
  UdpPort elsewhere(world, world.relay.media());
  std::vector<Bytes> old;
  for (int i = 0; i < 20; ++i) {
    old.push_back(alice.next());
    home.send(old.back());
    world.run_for(milliseconds(20));
  }
  const Bytes skipped = alice.next();
  home.send(alice.next());
  world.run_for(milliseconds(1'100));
  const auto heard = bob.received_from(alice.session.ssrc);
  CHECK(heard == 21);
  world.speak(bob);
  REQUIRE(world.run_until([&] { return home.received.size() > 20; }));
  SUBCASE("replayed") {
    for (const Bytes& packet : old) elsewhere.send(packet);
    world.settle();
    CHECK(bob.received_from(alice.session.ssrc) == heard);
  }
  SUBCASE("reordered: authentic, new, and yet not the newest") {
    elsewhere.send(skipped);
    REQUIRE(world.run_until([&] { return bob.received_from(alice.session.ssrc) == heard + 1; }));
  }
  SUBCASE("forged") {
    for (int i = 0; i < 20; ++i) {
      Bytes packet = alice.next();
      packet[20] ^= 1;
      elsewhere.send(packet);
    }
    world.settle();
    CHECK(bob.received_from(alice.session.ssrc) == heard);
  }
  SUBCASE("IP discovery only") {
    Bytes request(74);
    wire::write_discovery_request(std::span<std::uint8_t, 74>(request), alice.session.ssrc);
    elsewhere.send(request);
    REQUIRE(world.run_until([&] { return elsewhere.received.size() == 1; }));
    elsewhere.received.clear();
  }
  world.settle();
  home.received.clear();
  world.run_for(milliseconds(500));
  CHECK(home.received.size() >= 15);
  CHECK(elsewhere.received.empty());
}

TEST_CASE("a participant that speaks from two ports is moved at most once a second") {
  World world;
  Participant& bob = world.join("bob", "channel", counting());
  Sealer alice(world, "alice");
  UdpPort one(world, world.relay.media());
  UdpPort two(world, world.relay.media());
  world.speak(bob);
  int moves = 0;
  int last = 0;
  for (int i = 0; i < 150; ++i) {
    UdpPort& from = i % 2 == 0 ? one : two;
    from.send(alice.next());
    world.run_for(milliseconds(20));
    const int at = !one.received.empty() ? 1 : !two.received.empty() ? 2 : last;
    if (last != 0 && at != last) ++moves;
    last = at;
    one.received.clear();
    two.received.clear();
  }
  CHECK(moves >= 1);
  CHECK(moves <= 4);
  // Every packet is heard, wherever it came from.
  CHECK(bob.received_from(alice.session.ssrc) == 150);
}

TEST_CASE("media of the other address family: the participant moves there, too") {
  if (!has_ipv6()) return;
  World world;
  const Endpoint over_v6{*IpAddress::parse("::1"), world.relay.media().port};
  Participant& bob = world.join("bob", "channel", counting());
  Sealer alice(world, "alice");
  UdpPort six(world, over_v6);
  world.speak(bob);
  for (int i = 0; i < 10; ++i) {
    six.send(alice.next());
    world.run_for(milliseconds(20));
  }
  REQUIRE(world.run_until([&] { return six.received.size() > 10; }));
  for (const Bytes& datagram : six.received) {
    CHECK(alice.packets.open(datagram));
  }
}
