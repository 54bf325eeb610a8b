#include "relay/core/core.h"

#include <doctest/doctest.h>

#include "relay/wire/discovery.h"
#include "relay/wire/rtp.h"
#include "tests/support/core_rig.h"

using namespace earshot;
using namespace earshot::test;

namespace {

constexpr std::uint8_t silence[] = {0xF8, 0xFF, 0xFE};

// The packet that `listener` got, if exactly one datagram went to it.
std::optional<ReceivedPacket> heard(const CoreRig::Participant& listener,
                                    const std::vector<Delivered>& sent) {
  std::optional<ReceivedPacket> packet;
  for (const Delivered& d : sent) {
    if (d.to != listener.address) continue;
    REQUIRE_FALSE(packet.has_value());
    packet = listener.client->open(d.bytes);
    REQUIRE(packet.has_value());
  }
  return packet;
}

}  // namespace

TEST_CASE("a packet reaches every other participant of its channel, and nobody else") {
  for (const auto mode :
       {crypto::AeadMode::aes256_gcm_rtpsize, crypto::AeadMode::xchacha20_poly1305_rtpsize}) {
    CoreRig rig;
    if (!crypto::is_available(mode)) continue;
    const auto channel = rig.open_channel(0);
    const auto other = rig.open_channel(1);
    auto a = rig.join(1, channel, {}, mode);
    auto b = rig.join(2, channel, {}, mode);
    auto c = rig.join(3, channel, {}, mode);
    auto stranger = rig.join(4, other, {}, mode);
    const auto sent = rig.speak(a);
    CHECK(sent.size() == 2);
    for (const auto* listener : {&b, &c}) {
      const auto packet = heard(*listener, sent);
      REQUIRE(packet.has_value());
      CHECK(packet->ssrc == a.slot.ssrc);
      CHECK(packet->sequence == 100);
      CHECK(packet->timestamp == 5'000);
      CHECK(packet->frame.size() == 80);
      CHECK(packet->frame[1] == 101);
    }
    CHECK(rig.core.counters()[Counter::accepted] == 1);
    CHECK(get(rig.slot_stats[1].packets_forwarded) == 1);
    CHECK(get(rig.slot_stats[2].packets_sent) == 1);
  }
}

TEST_CASE("what does not authenticate changes nothing and is answered by silence") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  const std::vector<std::uint8_t> frame(40, 7);
  auto forged = a.client->seal(1, 1, frame);
  forged[20] ^= 1;
  CHECK(rig.feed(a.address, forged).empty());
  CHECK(rig.drops(DropReason::not_authentic) == 1);
  MediaClient wrong_key(a.slot.ssrc, crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(999));
  CHECK(rig.feed(a.address, wrong_key.seal(1, 1, frame)).empty());
  CHECK(rig.drops(DropReason::not_authentic) == 2);
  auto replay = a.client->seal(2, 960, frame);
  CHECK(rig.feed(a.address, replay).size() == 1);
  CHECK(rig.feed(a.address, replay).empty());
  CHECK(rig.drops(DropReason::replayed) == 1);
  MediaClient nobody(make_ssrc({0}, {0}, {9}), crypto::AeadMode::xchacha20_poly1305_rtpsize,
                     test_key(1));
  CHECK(rig.feed(a.address, nobody.seal(1, 1, frame)).empty());
  MediaClient other_node(make_ssrc({5}, {0}, {1}), crypto::AeadMode::xchacha20_poly1305_rtpsize,
                         test_key(1));
  CHECK(rig.feed(a.address, other_node.seal(1, 1, frame)).empty());
  CHECK(rig.drops(DropReason::unknown_ssrc) == 2);
}

TEST_CASE("every kind of datagram is counted once") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  const Endpoint from = a.address;
  CHECK(rig.feed(from, {}).empty());
  CHECK(rig.feed(from, std::vector<std::uint8_t>(8, 1)).empty());
  CHECK(rig.feed(from, {0x80, 0xC8, 0, 0}).empty());
  CHECK(rig.feed(from, {0xF8, 0xFF, 0xFE}).empty());
  CHECK(rig.feed(from, {0x80, 0xC8, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0}).empty());
  CHECK(rig.feed(from, std::vector<std::uint8_t>(100, 0x17)).empty());
  CHECK(rig.feed(from, std::vector<std::uint8_t>(1'501, 0x80)).empty());
  CHECK(rig.feed(from, std::vector<std::uint8_t>(13, 0x80)).empty());
  const Counters& c = rig.core.counters();
  CHECK(c[Counter::received] == 8);
  CHECK(c[Counter::keep_alives] == 2);
  CHECK(c[Counter::leftovers] == 1);
  CHECK(c[Counter::rtcp] == 1);
  CHECK(c[DropReason::oversize] == 1);
  CHECK(c.drops_total() == 4);
}

TEST_CASE("extension, CSRC and padding are stripped on the way") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  std::vector<std::uint8_t> header(12);
  wire::write_rtp_header(std::span<std::uint8_t, 12>(header.data(), 12), 7, 960, a.slot.ssrc);
  header[0] = 0x80 | 0x20 | 0x10 | 1;  // padding, extension, one CSRC
  header[1] |= 0x80;                   // marker
  header.insert(header.end(), {1, 2, 3, 4, 0xBE, 0xDE, 0, 1});
  const std::vector<std::uint8_t> plaintext{0x10, 0xFF, 0, 0, 'o', 'p', 'u', 's', 0, 2};
  const auto packet = heard(b, rig.feed(a.address, a.client->seal_raw(header, plaintext)));
  REQUIRE(packet.has_value());
  CHECK(packet->frame == std::vector<std::uint8_t>{'o', 'p', 'u', 's'});
  // Padding longer than the payload: authenticated, and still only a counter.
  CHECK(
      rig.feed(a.address, a.client->seal_raw(header, std::vector<std::uint8_t>{0, 0, 0, 0, 1, 200}))
          .empty());
  CHECK(rig.drops(DropReason::malformed) == 1);
}

TEST_CASE("the return address follows the newest authenticated packet, at most once a second") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  const Endpoint before = b.address;
  const Endpoint after{make_v4(198, 51, 100, 7), 1'234};
  const auto old_packet = b.client->seal(99, 0, silence);
  rig.now = rig.now + seconds(5);
  rig.speak(b);
  b.address = after;
  rig.speak(b);
  CHECK(heard(b, rig.speak(a)).has_value());
  const auto events = rig.events();
  REQUIRE(events.size() == 2);
  // A reordered older packet from the old address does not move it back, nor does an old replay.
  CHECK(rig.feed(before, old_packet).size() == 1);
  CHECK(heard(b, rig.speak(a)).has_value());
  // Within a second a second move waits, without a gap in what is forwarded.
  const Endpoint third{make_v4(198, 51, 100, 8), 99};
  b.address = third;
  CHECK(rig.speak(b).size() == 1);
  b.address = after;
  CHECK(heard(b, rig.speak(a)).has_value());
  rig.now = rig.now + seconds(1);
  b.address = third;
  rig.speak(b);
  CHECK(heard(b, rig.speak(a)).has_value());
  CHECK(rig.core.counters()[Counter::address_moves] == 2);
}

TEST_CASE(
    "forgeries from elsewhere have a budget, and do not keep a moved client from being heard") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  auto forged = a.client->seal(1, 1, silence);
  forged.back() ^= 1;
  const Endpoint attacker{make_v4(203, 0, 113, 1), 5};
  for (int i = 0; i < 1'000; ++i) rig.feed(attacker, forged);
  CHECK(rig.drops(DropReason::foreign_budget) >= 1'000 - limits::foreign_opens_per_source_depth);
  CHECK(rig.speak(a).size() == 1);
  a.address = {make_v4(203, 0, 113, 2), 5};
  CHECK(rig.speak(a).size() == 1);
}

TEST_CASE("IP discovery is answered, limited, and changes nothing else") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  std::array<std::uint8_t, wire::discovery_size> request;
  wire::write_discovery_request(request, a.slot.ssrc);
  const std::vector<std::uint8_t> bytes(request.begin(), request.end());
  for (int i = 0; i < 50; ++i) {
    const auto replies = rig.feed(a.address, bytes);
    REQUIRE(replies.size() == 1);
    REQUIRE(replies[0].bytes.size() == bytes.size());
    const auto reply = wire::parse_discovery_reply(replies[0].bytes);
    REQUIRE(reply.has_value());
    CHECK(reply->seen == a.address);
    CHECK(reply->ssrc == a.slot.ssrc);
  }
  const Endpoint elsewhere{make_v4(203, 0, 113, 9), 9};
  std::size_t answered = 0;
  for (int i = 0; i < 50; ++i) answered += rig.feed(elsewhere, bytes).size();
  CHECK(answered == limits::discovery_replies_per_source_per_second);
  CHECK(rig.drops(DropReason::discovery_budget) == 50 - answered);
  auto b = rig.join(2, channel);
  CHECK(heard(a, rig.speak(b)).has_value());
  wire::write_discovery_request(request, make_ssrc({0}, {0}, {60}));
  CHECK(rig.feed(elsewhere, {request.begin(), request.end()}).empty());
}

TEST_CASE(
    "a declared address is believed if it is the signalling peer's or discovery came from it") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto speaker = rig.join(1, channel);
  const SlotRef slot{make_ssrc({0}, {0}, {2}), {77}};
  const Endpoint declared{make_v4(203, 0, 113, 20), 4'000};
  const auto key = test_key(5);
  rig.command(OpenSlot{slot, channel, {}, false, false, make_v4(198, 51, 100, 1)});
  rig.command(InstallKey{slot, crypto::AeadMode::xchacha20_poly1305_rtpsize, key, declared, 3});
  rig.command(StartSending{slot});
  CHECK(rig.speak(speaker).empty());
  std::array<std::uint8_t, wire::discovery_size> request;
  wire::write_discovery_request(request, slot.ssrc);
  CHECK(rig.feed(declared, {request.begin(), request.end()}).size() == 1);
  CHECK(rig.speak(speaker).size() == 1);
  CHECK(rig.speak(speaker)[0].to == declared);
}

TEST_CASE("an unproven address gets a bounded stream until it proves itself") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto speaker = rig.join(1, channel);
  const Endpoint declared{make_v4(203, 0, 113, 20), 4'000};
  std::vector<MediaClient> clients;
  for (std::uint16_t i = 2; i < 14; ++i) {
    const SlotRef slot{make_ssrc({0}, {0}, {i}), {i}};
    rig.command(OpenSlot{slot, channel, {}, false, false, make_v4(198, 51, 100, 1)});
    std::array<std::uint8_t, wire::discovery_size> request;
    wire::write_discovery_request(request, slot.ssrc);
    rig.feed(declared, {request.begin(), request.end()});
    rig.command(
        InstallKey{slot, crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(i), declared, 3});
    rig.command(StartSending{slot});
    clients.emplace_back(slot.ssrc, crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(i));
  }
  CHECK(rig.speak(speaker).size() == limits::unproven_sessions_per_ip);
  std::size_t sent = 0;
  for (int i = 0; i < 300; ++i) sent += rig.speak(speaker).size();
  CHECK(sent < 600);
  rig.feed(declared, clients[0].seal(1, 1, silence));
  rig.now = rig.now + seconds(1);
  CHECK(rig.speak(speaker).size() == limits::unproven_sessions_per_ip);
}

TEST_CASE(
    "nothing is sent before the session description has reached the client, nor to the deaf") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  const SlotRef slot{make_ssrc({0}, {0}, {2}), {50}};
  rig.command(OpenSlot{slot, channel, {}, false, false, client_address(2).ip});
  CHECK(rig.speak(a).empty());
  rig.command(InstallKey{slot, crypto::AeadMode::xchacha20_poly1305_rtpsize, test_key(2),
                         client_address(2), 3});
  CHECK(rig.speak(a).empty());
  rig.command(StartSending{slot});
  CHECK(rig.speak(a).size() == 1);
  rig.command(SetDeafened{slot, true});
  CHECK(rig.speak(a).empty());
  rig.command(SetDeafened{slot, false});
  CHECK(rig.speak(a).size() == 1);
  auto no_ears = rig.join(3, channel, {true, false, false});
  CHECK(rig.speak(a).size() == 1);
  CHECK(rig.speak(no_ears).size() == 2);
  auto no_mouth = rig.join(4, channel, {false, true, false});
  CHECK(rig.speak(no_mouth).empty());
  CHECK(rig.drops(DropReason::not_allowed) == 1);
}

TEST_CASE("a mute ends the stream with five silence frames, and an unmute goes on behind them") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  rig.speak(a);
  const auto injected = rig.command(SetMuted{a.slot, true});
  REQUIRE(injected.size() == 5);
  for (std::uint16_t i = 0; i < 5; ++i) {
    const auto packet = b.client->open(injected[i].bytes);
    REQUIRE(packet.has_value());
    CHECK(packet->sequence == 101 + i);
    CHECK(packet->timestamp == 5'000u + 960u * (i + 1u));
    CHECK(packet->frame == std::vector<std::uint8_t>(std::begin(silence), std::end(silence)));
  }
  CHECK(rig.speak(a).empty());  // 101
  CHECK(rig.speak(a).empty());  // 102
  CHECK(rig.command(SetMuted{a.slot, false}).empty());
  CHECK(rig.speak(a).empty());  // 103, seen as silence
  CHECK(rig.speak(a).empty());  // 104
  CHECK(rig.speak(a).empty());  // 105
  CHECK(heard(b, rig.speak(a))->sequence == 106);
  CHECK(rig.drops(DropReason::muted) == 5);
  // Muted while silent: there is no stream to end.
  rig.feed(a.address, a.client->seal(a.sequence++, a.timestamp, silence));
  CHECK(rig.command(SetMuted{a.slot, true}).empty());
}

TEST_CASE("rate, duplicates and the number of speakers are bounded") {
  CoreRig rig;
  const auto channel = rig.open_channel(0, 2);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  auto c = rig.join(3, channel);
  auto boss = rig.join(4, channel, {true, true, true});
  CHECK(rig.speak(a).size() == 3);
  CHECK(rig.feed(a.address, a.client->seal(100, 5'000, silence)).empty());
  CHECK(rig.drops(DropReason::duplicate) == 1);
  rig.now = rig.now + milliseconds(20);
  CHECK(rig.speak(b).size() == 3);
  CHECK(rig.speak(c).empty());
  CHECK(rig.drops(DropReason::speakers) == 1);
  CHECK(rig.speak(boss).size() ==
        3);  // takes the floor from b, who has spoken for the shortest time
  CHECK(rig.speak(b).empty());
  CHECK(rig.speak(a).size() == 3);
  rig.now = rig.now + milliseconds(501);
  CHECK(rig.speak(c).size() == 3);
  std::size_t passed = 0;
  for (int i = 0; i < 1'000; ++i) passed += rig.speak(c).size() / 3;
  CHECK(passed < limits::packet_bucket_depth);
  CHECK(rig.drops(DropReason::rate) > 600);
}

TEST_CASE("slots and channels have generations: what is about an earlier life is dropped") {
  CoreOptions options = CoreRig::small_options();
  options.workers_count = 2;
  CoreRig rig(options);
  const auto channel = rig.open_channel(0);
  auto b = rig.join(2, channel);
  const SlotRef remote{make_ssrc({0}, {1}, {5}), {9}};
  rig.command(OpenRemoteSlot{remote, channel, false});
  const std::vector<std::uint8_t> frame(10, 1);
  OpenedPacket packet{remote, channel, 1, 1, rig.now, false, frame};
  rig.core.on_forwarded(rig.now, packet, rig.out);
  CHECK(rig.out.datagrams().size() == 1);
  rig.out.clear();
  packet.publisher.generation.value = 8;
  rig.core.on_forwarded(rig.now, packet, rig.out);
  packet.publisher.generation.value = 9;
  packet.channel.generation.value += 1;
  rig.core.on_forwarded(rig.now, packet, rig.out);
  rig.command(CloseSlot{remote});
  packet.channel = channel;
  rig.core.on_forwarded(rig.now, packet, rig.out);
  CHECK(rig.out.datagrams().empty());
  CHECK(rig.core.counters().forward_drops[static_cast<std::size_t>(DropReason::generation)] == 3);
  CHECK(rig.core.counters().is_conserved());
}

TEST_CASE("a spread channel gets one copy a worker, and strange datagrams are handed over") {
  CoreOptions options = CoreRig::small_options();
  options.workers_count = 3;
  CoreRig rig(options);
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  rig.command(SetChannelWorkers{channel, 0b111});
  CHECK(rig.speak(a).empty());
  REQUIRE(rig.forwards.size() == 1);
  CHECK(rig.forwards[0].targets == 0b110);
  CHECK(rig.forwarded_frames[0].size() == 80);
  CHECK(rig.core.counters()[Counter::forwards_offered] == 2);
  MediaClient elsewhere(make_ssrc({0}, {2}, {1}), crypto::AeadMode::xchacha20_poly1305_rtpsize,
                        test_key(1));
  CHECK(rig.feed(a.address, elsewhere.seal(1, 1, silence)).empty());
  CHECK(rig.hand_overs == 1);
  MediaClient nowhere(make_ssrc({0}, {3}, {1}), crypto::AeadMode::xchacha20_poly1305_rtpsize,
                      test_key(1));
  CHECK(rig.feed(a.address, nowhere.seal(1, 1, silence)).empty());
  CHECK(rig.hand_overs == 0);
}

TEST_CASE("an unreachable address gets nothing until it is heard of again") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  rig.command(TrackAddress{b.slot, b.address});
  CHECK(rig.speak(a).size() == 1);
  rig.now = rig.now + milliseconds(1);
  rig.core.on_unreachable_address(rig.now, b.address);
  CHECK(rig.speak(a).empty());
  rig.now = rig.now + seconds(1);
  rig.feed(b.address, std::vector<std::uint8_t>(8, 0));
  CHECK(get(rig.slot_stats[2].keep_alive_ns) == static_cast<std::uint64_t>(rig.now.ns));
  CHECK(rig.speak(a).size() == 1);
  rig.now = rig.now + seconds(1);
  rig.core.on_unreachable_address(rig.now, b.address);
  rig.now = rig.now + seconds(1);
  CHECK(rig.speak(a).empty());
  rig.speak(b);
  CHECK(rig.speak(a).size() == 1);
}

TEST_CASE("a closed slot is silent in both directions and its key is gone") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  CHECK(rig.speak(a).size() == 1);
  rig.command(CloseSlot{b.slot});
  CHECK(rig.speak(a).empty());
  CHECK(rig.speak(b).empty());
  CHECK(rig.drops(DropReason::unknown_ssrc) == 1);
  rig.command(CloseSlot{a.slot});
  rig.command(CloseChannel{channel});
  CHECK(rig.events().empty());
}

TEST_CASE("a node for loopback only ignores what was sent to another local address") {
  CoreOptions options = CoreRig::small_options();
  options.loopback_only = true;
  CoreRig rig(options);
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  CHECK(rig.speak(a).size() == 1);
  auto datagram = a.client->seal(1, 1, silence);
  rig.core.on_datagram(rig.now, {a.address, make_v4(192, 0, 2, 1), rig.now, datagram}, rig.out);
  CHECK(rig.out.is_empty());
  CHECK(rig.drops(DropReason::not_loopback) == 1);
}

TEST_CASE("a refused event stays until it is accepted") {
  CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto a = rig.join(1, channel);
  CHECK(rig.core.has_events());
  rig.core.offer_events([](const Event&) { return false; });
  CHECK(rig.core.has_events());
  const auto events = rig.events();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == EventKind::address_changed);
  CHECK(events[0].remote == a.address);
  CHECK_FALSE(rig.core.has_events());
}
