// Where the core drops what is late and what is stale, and whose bound it goes by.
#include <doctest/doctest.h>

#include <string>

#include "tests/support/core_rig.h"

using namespace earshot;
using namespace earshot::test;

namespace {

// After ten seconds of steady speech nothing of the speaker comes for 300 ms, then all of it at
// once. How much of the backlog is dropped.
std::uint64_t dropped_of_a_stall(CoreRig& rig, CoreRig::Participant& speaker) {
  for (int i = 0; i < 500; ++i) {
    rig.now = rig.now + milliseconds(20);
    rig.speak(speaker);
  }
  const std::uint64_t before = rig.drops(DropReason::late);
  rig.now = rig.now + milliseconds(320);
  for (int i = 0; i < 16; ++i) rig.speak(speaker);
  return rig.drops(DropReason::late) - before;
}

struct Row {
  const char* name;
  std::uint16_t configured;
  std::uint16_t granted;
  bool is_channels_own;
  std::uint64_t dropped;
};

}  // namespace

TEST_CASE("the channel's own bound goes before the speaker's grant, and that before the default") {
  const Row rows[]{
      {"default 200", 200, no_late_ms_max, false, 5},
      {"default 120", 120, no_late_ms_max, false, 9},
      {"default off", 0, no_late_ms_max, false, 0},
      {"grant 120", 200, 120, false, 9},
      {"grant off", 200, 0, false, 0},
      {"channel 80 over grant", 80, 200, true, 11},
      {"channel off over grant", 0, 80, true, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CoreRig rig;
    const ChannelRef channel{{1}, {1'000}};
    rig.command(OpenChannel{channel, 32, row.configured, row.is_channels_own});
    Grants grants;
    grants.late_ms_max = row.granted;
    auto speaker = rig.join(1, channel, grants);
    auto listener = rig.join(2, channel);
    CHECK(dropped_of_a_stall(rig, speaker) == row.dropped);
    const SlotStats& stats = rig.slot_stats[1];
    CHECK(get(stats.late) == row.dropped);
    CHECK(get(stats.packets_received) == 516);
    CHECK(get(stats.packets_forwarded) == 516 - row.dropped);
    CHECK(get(rig.slot_stats[2].packets_sent) == 516 - row.dropped);
  }
}

TEST_CASE("a bound that is changed while they speak holds from the next packet on") {
  CoreRig rig;
  const ChannelRef channel = rig.open_channel(1, 32, 200);
  auto speaker = rig.join(1, channel);
  CHECK(dropped_of_a_stall(rig, speaker) == 5);
  rig.command(SetChannelOptions{channel, 32, 120, true});
  CHECK(dropped_of_a_stall(rig, speaker) == 9);
  rig.command(SetChannelOptions{channel, 32, 0, true});
  CHECK(dropped_of_a_stall(rig, speaker) == 0);
  rig.command(SetChannelOptions{channel, 32, 200, false});
  CHECK(dropped_of_a_stall(rig, speaker) == 5);
}

TEST_CASE("lateness goes by the receive stamp, whenever it is looked at") {
  CoreRig rig;
  const ChannelRef channel = rig.open_channel(1, 32, 200);
  auto speaker = rig.join(1, channel);
  for (int i = 0; i < 500; ++i) {
    rig.now = rig.now + milliseconds(20);
    // The worker comes round late, every now and then.
    const Duration waited = milliseconds(i % 7 == 0 ? 90 : 1);
    auto bytes =
        speaker.client->seal(speaker.sequence++, speaker.timestamp, std::vector<std::uint8_t>(80));
    speaker.timestamp += 960;
    rig.core.on_datagram(rig.now + waited, {speaker.address, make_v4(127, 0, 0, 1), rig.now, bytes},
                         rig.out);
    rig.drain();
  }
  CHECK(get(rig.slot_stats[1].jitter_ticks) == 0);
  CHECK(rig.drops(DropReason::late) == 0);
}

TEST_CASE("what waited too long is dropped unopened, and counted against nobody else") {
  CoreOptions options = CoreRig::small_options();
  options.stale_max = milliseconds(100);
  CoreRig rig(options);
  const ChannelRef channel = rig.open_channel(1);
  auto speaker = rig.join(1, channel);
  auto listener = rig.join(2, channel);
  const auto receive = [&](const Endpoint& from, std::vector<std::uint8_t> bytes, Duration waited) {
    rig.core.on_datagram(rig.now, {from, make_v4(127, 0, 0, 1), rig.now - waited, bytes}, rig.out);
    return rig.drain().size();
  };
  const auto say = [&] {
    auto bytes =
        speaker.client->seal(speaker.sequence++, speaker.timestamp, std::vector<std::uint8_t>(80));
    speaker.timestamp += 960;
    return bytes;
  };
  CHECK(receive(speaker.address, say(), milliseconds(100)) == 1);
  CHECK(receive(speaker.address, say(), milliseconds(101)) == 0);
  CHECK(rig.drops(DropReason::stale) == 1);
  CHECK(get(rig.slot_stats[1].stale) == 1);
  CHECK(get(rig.slot_stats[1].packets_received) == 1);
  // Forged from elsewhere: nobody's.
  CHECK(receive(client_address(9), std::vector<std::uint8_t>(say()), seconds(2)) == 0);
  CHECK(rig.drops(DropReason::stale) == 2);
  CHECK(get(rig.slot_stats[1].stale) == 1);
  // The nonce was never looked at: a copy that is on time is taken.
  CHECK(receive(speaker.address, say(), milliseconds(0)) == 1);
  // A client asks once where it is and hangs without an answer.
  std::vector<std::uint8_t> request(74);
  request[1] = 1;
  request[3] = 70;
  for (int i = 0; i < 4; ++i) {
    request[4 + static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(speaker.slot.ssrc.value >> (24 - 8 * i));
  }
  CHECK(receive(speaker.address, request, seconds(2)) == 1);
}

TEST_CASE("a copy that waited too long for another worker is stale there") {
  CoreOptions options = CoreRig::small_options();
  options.stale_max = milliseconds(100);
  options.workers_count = 2;
  CoreRig rig(options);
  const ChannelRef channel = rig.open_channel(1);
  auto listener = rig.join(2, channel);
  const SlotRef remote{make_ssrc(options.node, {1}, {5}), {77}};
  rig.command(OpenRemoteSlot{remote, channel, false});
  const std::vector<std::uint8_t> frame(80);
  OpenedPacket packet{remote, channel, 1, 960, rig.now - milliseconds(100), false, frame};
  rig.core.on_forwarded(rig.now, packet, rig.out);
  CHECK(rig.drain().size() == 1);
  packet.arrival = rig.now - milliseconds(101);
  rig.core.on_forwarded(rig.now, packet, rig.out);
  CHECK(rig.drain().empty());
  CHECK(rig.core.counters().forward_drops[static_cast<std::size_t>(DropReason::stale)] == 1);
}

TEST_CASE("why a stream's packets are dropped stands in its own statistics") {
  CoreRig rig;
  const ChannelRef channel = rig.open_channel(1, 1);
  auto speaker = rig.join(1, channel);
  auto other = rig.join(2, channel);
  rig.speak(speaker);
  rig.speak(other);
  CHECK(get(rig.slot_stats[2].speakers) == 1);
  speaker.sequence--;
  speaker.timestamp -= 960;
  rig.speak(speaker);
  CHECK(get(rig.slot_stats[1].duplicates) == 1);
  for (int i = 0; i < 400; ++i) rig.speak(speaker);
  CHECK(get(rig.slot_stats[1].rate) == rig.drops(DropReason::rate));
  CHECK(get(rig.slot_stats[1].rate) > 0);
  rig.command(SetMuted{speaker.slot, true});
  rig.now = rig.now + seconds(10);
  rig.speak(speaker);
  CHECK(get(rig.slot_stats[1].muted) == 1);
}
