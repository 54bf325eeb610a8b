// What a media port has to put up with.
#include <doctest/doctest.h>

#include <random>

#include "codec/opus.h"
#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"
#include "tests/e2e/raw_client.h"
#include "tests/e2e/udp_port.h"

using namespace earshot;
using namespace earshot::test;
using Bytes = std::vector<std::uint8_t>;

namespace {

Bytes discovery_request(Ssrc ssrc) {
  Bytes request(wire::discovery_size);
  wire::write_discovery_request(std::span<std::uint8_t, wire::discovery_size>(request), ssrc);
  return request;
}

void put_ssrc(Bytes& bytes, std::size_t at, Ssrc ssrc) {
  for (std::size_t i = 0; i < 4 && at + i < bytes.size(); ++i) {
    bytes[at + i] = static_cast<std::uint8_t>(ssrc.value >> (24 - 8 * i));
  }
}

}  // namespace

TEST_CASE("packets under a wrong key are heard by nobody") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  alice.client->media()->corrupt_key();
  world.talk({&alice}, milliseconds(500));
  CHECK(alice.client->frames_sent() > 10);
  check_hears_nothing(bob);
  // With the right one again, nothing has been lost by it.
  alice.client->media()->corrupt_key();
  world.talk({&alice}, milliseconds(500));
  CHECK(bob.received_from(alice) > 20);
  CHECK_FALSE(alice.end);
}

TEST_CASE("garbage of every size is met with silence, and a conversation goes on through it") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  UdpPort stranger(world, world.relay.media());
  world.settle();
  world.speak(alice);
  std::mt19937 random(7);
  const auto random_bytes = [&random](std::size_t size) {
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
  };
  for (std::size_t size = 0; size <= 2'000; ++size) {
    stranger.send(random_bytes(size));
    // The same, as packets of alice's would begin.
    Bytes rtp = random_bytes(size);
    if (size > 1) rtp[0] = static_cast<std::uint8_t>(0x80 | (rtp[0] & 0x3F));
    if (size > 1) rtp[1] = size % 2 == 0 ? 0x78 : rtp[1];
    put_ssrc(rtp, 8, alice.ssrc());
    stranger.send(rtp);
    // RTCP, for links, and something like IP discovery.
    Bytes other = random_bytes(size);
    if (size > 1) other[0] = size % 3 == 0 ? 0x81 : size % 3 == 1 ? 0xC1 : 0x00;
    if (size > 1) other[1] = size % 3 == 0 ? 0xC9 : 0x01;
    put_ssrc(other, 4, alice.ssrc());
    stranger.send(other);
    if (size % 20 == 0) world.run_for(milliseconds(5));
  }
  world.fall_silent(alice);
  world.settle();
  check_hears(bob, alice, 440);
  CHECK(stranger.received.empty());
  CHECK(alice.packets.empty());
}

TEST_CASE("forged packets in a flood do not silence the one they name") {
  World world;
  Participant& alice = world.join("alice");
  Participant& bob = world.join("bob");
  UdpPort stranger(world, world.relay.media());
  world.settle();
  world.speak(alice);
  Bytes forged(100, 0x55);
  forged[0] = 0x80;
  forged[1] = 0x78;
  put_ssrc(forged, 8, alice.ssrc());
  for (int i = 0; i < 200; ++i) {
    for (int k = 0; k < 20; ++k) stranger.send(forged);
    world.run_for(milliseconds(5));
  }
  world.fall_silent(alice);
  world.settle();
  check_hears(bob, alice, 440);
  CHECK(stranger.received.empty());
}

TEST_CASE("keep-alives, RTCP and the odd leftover are never echoed, nor passed on") {
  World world;
  Participant& bob = world.join("bob", "channel", counting());
  RawSession alice(world, make_claims("alice"));
  const auto unexpected = alice.media->counters().unexpected;
  for (int i = 0; i < 20; ++i) {
    alice.media->send_raw(Bytes{0x80, 0xC8, 0, 0});
    alice.media->send_raw(Bytes{1, 0, 0, 0, 0, 0, 0, 0});
    alice.media->send_raw(Bytes{0xF8, 0xFF, 0xFE});
    Bytes report(28);
    report[0] = 0x81;
    report[1] = 0xC9;
    put_ssrc(report, 4, alice.ssrc);
    alice.media->send_raw(report);
  }
  world.settle();
  CHECK(alice.media->counters().unexpected == unexpected);
  check_hears_nothing(bob);
  CHECK(bob.client->media_counters().unexpected == 0);
}

TEST_CASE("IP discovery is answered every time, in both address families") {
  World world;
  RawSession alice(world, make_claims("alice"));
  for (const char* address : {"127.0.0.1", "::1"}) {
    CAPTURE(address);
    const IpAddress ip = *IpAddress::parse(address);
    if (!ip.is_v4() && !has_ipv6()) continue;
    UdpPort port(world, {ip, world.relay.media().port});
    const std::size_t times = ip.is_v4() ? 20 : 3;
    for (std::size_t i = 1; i <= times; ++i) {
      port.send(discovery_request(alice.ssrc));
      REQUIRE(world.run_until([&] { return port.received.size() == i; }, seconds(2)));
      const auto reply = wire::parse_discovery_reply(port.received.back());
      REQUIRE(reply);
      CHECK(reply->ssrc == alice.ssrc);
      CHECK(reply->seen == Endpoint{ip, port.local().port});
      CHECK(port.received.back().size() == wire::discovery_size);
    }
    port.received.clear();
    for (const std::uint32_t unknown : {0u, 0xFFFFFFFFu, alice.ssrc.value + 1, 0x2112A442u}) {
      port.send(discovery_request({unknown}));
    }
    world.settle();
    CHECK(port.received.empty());
  }
}

TEST_CASE("what is forwarded has a plain header, whatever the speaker's looked like") {
  World world;
  RawSession bob(world, make_claims("bob"));
  UdpPort ear(world, world.relay.media());
  MediaClient opener(bob.ssrc, crypto::AeadMode::xchacha20_poly1305_rtpsize, bob.key, 1);
  // Bob's packets move him to a port of the test's own, where raw datagrams can be looked at.
  ear.send(opener.seal(1, 960, codec::silence_frame));
  RawSession alice(world, make_claims("alice"));
  MediaClient sealer(alice.ssrc, crypto::AeadMode::xchacha20_poly1305_rtpsize, alice.key, 50);
  const auto header = [&](std::uint8_t first, std::uint8_t second, std::uint16_t sequence) {
    Bytes bytes{first,
                second,
                static_cast<std::uint8_t>(sequence >> 8),
                static_cast<std::uint8_t>(sequence),
                0,
                0,
                static_cast<std::uint8_t>(sequence),
                0};
    bytes.resize(12);
    put_ssrc(bytes, 8, alice.ssrc);
    return bytes;
  };
  const Bytes frame{0xF8, 1, 2, 3, 4, 5};
  std::vector<Bytes> sent;
  sent.push_back(sealer.seal_raw(header(0x80, 0x78, 1), frame));
  sent.push_back(sealer.seal_raw(header(0x80, 0xF8, 2), frame));  // marker
  Bytes with_csrc = header(0x82, 0x78, 3);
  with_csrc.insert(with_csrc.end(), 8, 0xAA);
  sent.push_back(sealer.seal_raw(with_csrc, frame));
  Bytes padded = frame;
  padded.insert(padded.end(), {0, 0, 0, 4});
  sent.push_back(sealer.seal_raw(header(0xA0, 0x78, 4), padded));
  Bytes with_extension = header(0x90, 0x78, 5);
  with_extension.insert(with_extension.end(), {0xBE, 0xDE, 0, 1});
  Bytes extended{0x10, 0xFF, 0, 0};
  extended.insert(extended.end(), frame.begin(), frame.end());
  sent.push_back(sealer.seal_raw(with_extension, extended));
  // Other payload types are not forwarded.
  sent.push_back(sealer.seal_raw(header(0x80, 0x60, 6), frame));
  for (const Bytes& datagram : sent) alice.media->send_raw(datagram);
  REQUIRE(world.run_until([&] { return ear.received.size() >= 5; }));
  world.settle();
  REQUIRE(ear.received.size() == 5);
  for (std::size_t i = 0; i < ear.received.size(); ++i) {
    CAPTURE(i);
    CHECK(ear.received[i].size() == 12 + frame.size() + 20);
    const auto opened = opener.open(ear.received[i]);
    REQUIRE(opened);
    CHECK(opened->ssrc == alice.ssrc);
    CHECK(opened->sequence == i + 1);
    CHECK(opened->frame == frame);
    CHECK(ear.received[i][0] == 0x80);
    CHECK(ear.received[i][1] == 0x78);
    // The relay's own counters keep away from where clients begin.
    CHECK((opened->counter[0] & 0x80) != 0);
    CHECK((opened->counter[3] & 0x80) != 0);
  }
}

TEST_CASE("frames of every size that Opus knows get through") {
  World world;
  RawSession alice(world, make_claims("alice"));
  Participant& bob = world.join("bob", "channel", counting());
  world.settle();
  std::uint16_t sequence = 0;
  std::uint64_t sent = 0;
  for (const std::size_t size : {1u, 2u, 3u, 160u, 1'000u, 1'275u, 1'400u}) {
    alice.media->send(sequence, sequence * 960u, Bytes(size, 0xF8));
    ++sequence;
    ++sent;
  }
  CHECK(world.run_until([&] { return bob.received_from(alice.ssrc) == sent; }));
}

TEST_CASE("more packets than speech can have are not forwarded") {
  World world;
  RawSession alice(world, make_claims("alice"));
  Participant& bob = world.join("bob", "channel", counting());
  world.settle();
  for (std::uint16_t i = 0; i < 2'000; ++i) {
    alice.media->send(i, i * 960u, codec::silence_frame);
    if (i % 20 == 0) world.run_for(milliseconds(4));
  }
  world.settle();
  // A bucket of three seconds, and what was added to it meanwhile.
  CHECK(bob.received_from(alice.ssrc) >= 360);
  CHECK(bob.received_from(alice.ssrc) <= 360 + 120 * 3);
}
