#include <doctest/doctest.h>

#include "relay/core/core.h"
#include "relay/wire/rtp.h"
#include "tests/support/core_rig.h"

using namespace earshot;
using namespace earshot::test;

namespace {

constexpr std::uint8_t silence[] = {0xF8, 0xFF, 0xFE};
const IpAddress peer = make_v4(198, 51, 100, 1);
const Endpoint media{make_v4(203, 0, 113, 20), 4'000};

// A speaker, and a participant that has declared an address and only listens.
struct Listening {
  CoreRig rig;
  ChannelRef channel = rig.open_channel(0);
  CoreRig::Participant speaker = rig.join(1, channel);
  SlotRef slot{make_ssrc({0}, {0}, {2}), {77}};
  MediaClient client{slot.ssrc, crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(5)};

  void open() { rig.command(OpenSlot{slot, channel, {}, false, false, peer}); }
  void select(const Endpoint& declared) {
    rig.command(
        InstallKey{slot, crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(5), declared, 3});
    rig.command(StartSending{slot});
  }
  std::vector<Delivered> speak() {
    rig.now = rig.now + milliseconds(20);
    return rig.speak(speaker);
  }
  // Where the listener's packets go; unset if it gets none.
  Endpoint goes_to() {
    const auto sent = speak();
    return sent.empty() ? Endpoint{} : sent[0].to;
  }
};

}  // namespace

TEST_CASE("without a declared address the first authenticated packet tells it") {
  for (const Endpoint declared :
       {Endpoint{}, Endpoint{peer, 0}, Endpoint{{}, 5}, Endpoint{make_v4(0, 0, 0, 0), 5}}) {
    Listening l;
    l.open();
    l.select(declared);
    CHECK_FALSE(l.goes_to().is_set());
    l.rig.discover(media, l.slot.ssrc);
    CHECK_FALSE(l.goes_to().is_set());
    l.rig.feed(media, l.client.seal(1, 1, silence));
    CHECK(l.goes_to() == media);
  }
}

TEST_CASE("a resume from the declared address makes it believed") {
  Listening l;
  l.open();
  l.select(media);
  CHECK_FALSE(l.goes_to().is_set());
  l.rig.command(SetSignallingPeer{l.slot, media.ip});
  CHECK(l.goes_to() == media);
}

TEST_CASE("an authenticated packet without a frame tells where its sender is") {
  Listening l;
  l.open();
  l.select({peer, 5});
  CHECK(l.goes_to() == Endpoint{peer, 5});
  CHECK(l.rig.feed(media, l.client.seal(1, 1, {})).empty());
  CHECK(l.rig.drops(DropReason::malformed) == 1);
  CHECK(l.goes_to() == media);
}

TEST_CASE("a newly declared address is not held to what ICMP said of the old one") {
  Listening l;
  const Endpoint first{peer, 5};
  const Endpoint second{peer, 6};
  l.open();
  l.select(first);
  l.rig.command(TrackAddress{l.slot, first});
  CHECK(l.goes_to() == first);
  l.rig.core.on_unreachable_address(l.rig.now, first);
  CHECK_FALSE(l.goes_to().is_set());
  l.rig.command(SetDeclaredAddress{l.slot, second});
  CHECK(l.goes_to() == second);
}

TEST_CASE("datagrams leave from the address that was spoken to") {
  const IpAddress v4 = make_v4(127, 0, 0, 2);
  const IpAddress v6 = *IpAddress::parse("::1");
  const Endpoint media_v6{*IpAddress::parse("2001:db8::5"), 4'000};
  Listening l;
  l.open();
  const auto reply = l.rig.discover(media, l.slot.ssrc, v4);
  REQUIRE(reply.size() == 1);
  CHECK(reply[0].from == v4);
  l.select(media);
  auto sent = l.speak();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].to == media);
  CHECK(sent[0].from == v4);
  // An IPv4 address cannot speak to an IPv6 one.
  l.rig.command(SetSignallingPeer{l.slot, media_v6.ip});
  l.rig.command(SetDeclaredAddress{l.slot, media_v6});
  sent = l.speak();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].to == media_v6);
  CHECK(sent[0].from.is_unspecified());
  l.rig.feed(media_v6, l.client.seal(1, 1, silence), v6);
  CHECK(l.speak()[0].from == v6);
}

TEST_CASE("an address stays with reordered packets, from the first of them on") {
  for (const CounterOrder order : {CounterOrder::big_endian, CounterOrder::little_endian}) {
    CoreRig rig;
    const auto channel = rig.open_channel(0);
    auto speaker = rig.join(1, channel);
    auto b = rig.join(2, channel, {}, crypto::AeadMode::xchacha20_poly1305_rtpsize, 300, order);
    const Endpoint before = b.address;
    std::vector<std::vector<std::uint8_t>> old;
    for (int i = 0; i < 20; ++i) old.push_back(b.client->seal(b.sequence++, 0, silence));
    rig.feed(before, old[10]);
    rig.now = rig.now + seconds(2);
    b.address = media;
    rig.speak(b);
    CHECK(rig.speak(speaker)[0].to == media);
    for (const auto& datagram : old) {
      rig.now = rig.now + seconds(2);
      rig.feed(before, datagram);
      CHECK(rig.speak(speaker)[0].to == media);
    }
    CHECK(rig.core.counters()[Counter::address_moves] == 1);
  }
}

TEST_CASE("whoever flaps between two addresses moves once a second and is heard from both") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto speaker = rig.join(1, channel);
  auto b = rig.join(2, channel);
  const Endpoint home = b.address;
  std::size_t heard = 0;
  std::size_t received = 0;
  constexpr int packets = 60 * 50;
  for (int i = 0; i < packets; ++i) {
    rig.now = rig.now + milliseconds(20);
    b.address = i % 2 == 0 ? media : home;
    heard += rig.speak(b).size();
    received += rig.speak(speaker).size();
  }
  CHECK(received == packets);
  CHECK(heard == packets);
  CHECK(rig.core.counters()[Counter::address_moves] <= 61);
}

namespace {

// Participants who have proven nothing: their signalling comes from elsewhere, a discovery came
// from `media`.
void join_unproven(CoreRig& rig, ChannelRef channel, std::uint16_t slot_index) {
  const SlotRef slot{make_ssrc({0}, rig.options.worker, {slot_index}), {slot_index}};
  rig.command(OpenSlot{slot, channel, {}, false, false, peer});
  rig.discover(media, slot.ssrc);
  rig.command(InstallKey{slot, crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(slot_index),
                         media, 3});
  rig.command(StartSending{slot});
}

}  // namespace

TEST_CASE("the bounds of an unproven address hold over all workers") {
  UnprovenAddresses shared(5);
  CoreOptions options = CoreRig::small_options();
  options.workers_count = 2;
  options.unproven = &shared;
  CoreRig first(options);
  options.worker = {1};
  CoreRig second(options);
  const auto channel_one = first.open_channel(0);
  const auto channel_two = second.open_channel(0);
  auto speaker_one = first.join(60, channel_one);
  auto speaker_two = second.join(60, channel_two);
  for (std::uint16_t i = 1; i <= 5; ++i) {
    join_unproven(first, channel_one, i);
    join_unproven(second, channel_two, i);
  }
  CHECK(first.speak(speaker_one).size() + second.speak(speaker_two).size() ==
        limits::unproven_sessions_per_ip);
  std::size_t sent = 0;
  for (int i = 0; i < 350; ++i) sent += first.speak(speaker_one).size();
  for (int i = 0; i < 350; ++i) sent += second.speak(speaker_two).size();
  CHECK(sent <= limits::unproven_packets_depth);
  CHECK(sent >= limits::unproven_packets_depth - limits::unproven_sessions_per_ip);
  CHECK(sent + first.core.counters()[Counter::unproven_refused] +
            second.core.counters()[Counter::unproven_refused] ==
        350 * limits::unproven_sessions_per_ip);
}

TEST_CASE("one unproven listener hears a busy channel, however many workers there are") {
  CoreOptions options = CoreRig::small_options();
  options.workers_count = limits::workers_max;
  CoreRig rig(options);
  const auto channel = rig.open_channel(0);
  std::vector<CoreRig::Participant> speakers;
  for (std::uint16_t i = 10; i < 20; ++i) speakers.push_back(rig.join(i, channel));
  join_unproven(rig, channel, 1);
  std::size_t heard = 0;
  for (int frame = 0; frame < 150; ++frame) {
    rig.now = rig.now + milliseconds(20);
    for (auto& speaker : speakers) {
      for (const Delivered& d : rig.speak(speaker)) heard += d.to == media ? 1u : 0u;
    }
  }
  CHECK(heard == 150 * speakers.size());
}

TEST_CASE("all of loopback counts as proven") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto speaker = rig.join(60, channel);
  const Endpoint loopback{make_v4(127, 0, 0, 9), 4'000};
  for (std::uint16_t i = 1; i <= 20; ++i) {
    const SlotRef slot{make_ssrc({0}, {0}, {i}), {i}};
    rig.command(OpenSlot{slot, channel, {}, false, false, peer});
    rig.discover(loopback, slot.ssrc);
    rig.command(
        InstallKey{slot, crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(i), loopback, 3});
    rig.command(StartSending{slot});
  }
  for (int i = 0; i < 200; ++i) {
    rig.now = rig.now + milliseconds(10);
    REQUIRE(rig.speak(speaker).size() == 20);
  }
}

TEST_CASE("a session that is counted at an unproven address may declare another port there") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto speaker = rig.join(60, channel);
  constexpr auto all = static_cast<std::uint16_t>(limits::unproven_sessions_per_ip);
  for (std::uint16_t i = 1; i <= all; ++i) join_unproven(rig, channel, i);
  const SlotRef slot{make_ssrc({0}, {0}, {1}), {1}};
  const Endpoint other_port{media.ip, 5'000};
  rig.command(SetDeclaredAddress{slot, other_port});
  std::size_t moved = 0;
  for (const Delivered& d : rig.speak(speaker)) moved += d.to == other_port ? 1u : 0u;
  CHECK(moved == 1);
  // It is still one of eight, and its place is free when it leaves.
  join_unproven(rig, channel, all + 1);
  CHECK(rig.speak(speaker).size() == all);
  rig.command(CloseSlot{slot});
  join_unproven(rig, channel, all + 2);
  CHECK(rig.speak(speaker).size() == all);
}

TEST_CASE("a flood from everywhere does not silence who has only changed its port") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto speaker = rig.join(1, channel);
  auto listener = rig.join(2, channel);
  CHECK(rig.speak(speaker).size() == 1);
  // More sources a second than the worker tries keys for, each with one forgery.
  std::uint32_t source = 0;
  const auto flood = [&](int count) {
    for (int i = 0; i < count; ++i, ++source) {
      std::vector<std::uint8_t> forged(152, 0x55);
      wire::write_rtp_header(std::span(forged).first<wire::rtp_header_size>(),
                             static_cast<std::uint16_t>(i), 0, speaker.slot.ssrc);
      rig.feed({make_v4(11, static_cast<std::uint8_t>(source >> 16),
                        static_cast<std::uint8_t>(source >> 8), static_cast<std::uint8_t>(source)),
                7'000},
               std::move(forged));
    }
  };
  const auto heard_of = [&](const Endpoint& from) {
    speaker.address = from;
    int heard = 0;
    for (int frame = 0; frame < 50; ++frame) {
      rig.now = rig.now + milliseconds(20);
      flood(2'000);  // 100,000 a second
      heard += static_cast<int>(rig.speak(speaker).size());
    }
    return heard;
  };
  const Endpoint before = speaker.address;
  flood(2'000);
  CHECK(heard_of({before.ip, 9'999}) == 50);
  CHECK(rig.drops(DropReason::foreign_budget) > 80'000);
  // An address that nobody knows has to be lucky.
  CHECK(heard_of({make_v4(12, 0, 0, 1), 9'999}) < 50);
}
