#include "relay/core/channel.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/support/core_rig.h"

using namespace earshot;
using earshot::test::CoreRig;

namespace {

struct Floor {
  Channels channels{2, 8, 16};
  ChannelRef ref{{1}, {1}};
  Time now{seconds(100).ns};

  explicit Floor(std::uint16_t speakers_max) { channels.open({ref, speakers_max, 200}); }
  bool take(SpeakerIndex speaker, bool has_priority = false) {
    return channels.take_floor(*channels.find(ref), speaker, has_priority, now);
  }
  void pass(Duration d) { now = now + d; }
  std::uint32_t speakers() { return channels.find(ref)->speakers_count; }
};

}  // namespace

TEST_CASE("the floor is whose who has spoken longest, until half a second of silence") {
  Floor floor(2);
  CHECK(floor.take(1));
  floor.pass(milliseconds(20));
  CHECK(floor.take(2));
  CHECK_FALSE(floor.take(3));
  for (int i = 0; i < 100; ++i) {
    floor.pass(milliseconds(20));
    CHECK(floor.take(1));
    CHECK(floor.take(2));
    CHECK_FALSE(floor.take(3));
  }
  floor.pass(milliseconds(499));
  CHECK(floor.take(2));
  CHECK_FALSE(floor.take(3));
  floor.pass(milliseconds(1));
  CHECK(floor.take(3));
  CHECK_FALSE(floor.take(1));
  CHECK(floor.speakers() == 2);
}

TEST_CASE("priority takes the floor from the youngest without it, and from nobody who has it") {
  Floor floor(3);
  CHECK(floor.take(1));
  floor.pass(milliseconds(20));
  CHECK(floor.take(2));
  floor.pass(milliseconds(20));
  CHECK(floor.take(3));
  CHECK(floor.take(4, true));  // from 3
  CHECK_FALSE(floor.take(3));
  CHECK(floor.take(1));
  CHECK(floor.take(2));
  CHECK(floor.take(5, true));  // from 2
  CHECK(floor.take(6, true));  // from 1
  CHECK_FALSE(floor.take(7, true));
  CHECK_FALSE(floor.take(1));
  CHECK(floor.speakers() == 3);
  // A speaker who comes back after a pause begins anew.
  floor.pass(milliseconds(600));
  CHECK(floor.take(1));
  CHECK(floor.channels.floor_since(1) == floor.now);
  CHECK(floor.speakers() == 1);
}

TEST_CASE("who leaves gives up the floor at once") {
  Floor floor(1);
  CHECK(floor.take(1));
  CHECK_FALSE(floor.take(2));
  floor.channels.leave_floor(*floor.channels.find(floor.ref), 1);
  floor.channels.leave_floor(*floor.channels.find(floor.ref), 1);
  CHECK(floor.speakers() == 0);
  CHECK(floor.take(2));
}

TEST_CASE("participants are a list without gaps, whatever the order of leaving") {
  Channels channels(1, 8, 8);
  const ChannelRef ref{{0}, {1}};
  channels.open({ref, 1, 200});
  Channel& channel = *channels.find(ref);
  for (std::uint32_t i = 0; i < 5; ++i) channels.add_slot(channel, i);
  for (const std::uint32_t leaving : {2u, 4u, 0u}) channels.remove_slot(channel, leaving);
  CHECK(channel.participants_count == 2);
  CHECK(channel.first_slot == 3);
  CHECK(channels.next_slot(3) == 1);
  CHECK(channels.next_slot(1) == no_slot);
  channels.remove_slot(channel, 1);
  channels.remove_slot(channel, 3);
  channels.close(ref);
  CHECK(channels.find(ref) == nullptr);
  channels.open({{{0}, {2}}, 1, 200});
  CHECK(channels.find(ref) == nullptr);
}

TEST_CASE("nobody is always the last of a fan-out") {
  test::CoreRig rig;
  const auto channel = rig.open_channel(0);
  auto speaker = rig.join(1, channel);
  std::vector<test::CoreRig::Participant> listeners;
  for (std::uint16_t i = 2; i < 8; ++i) listeners.push_back(rig.join(i, channel));
  std::set<Endpoint> last;
  for (std::size_t packet = 0; packet < 20; ++packet) {
    const auto sent = rig.speak(speaker);
    REQUIRE(sent.size() == listeners.size());
    last.insert(sent.back().to);
    std::set<Endpoint> all;
    for (const auto& d : sent) all.insert(d.to);
    REQUIRE(all.size() == listeners.size());
    if (packet % 5 != 4) continue;
    // Whoever's turn it is may leave.
    rig.command(CloseSlot{listeners.back().slot});
    listeners.pop_back();
  }
  CHECK(last.size() > 4);
}

TEST_CASE("what the application sets for a channel holds from the next packet on") {
  CoreRig rig;
  const auto channel = rig.open_channel(0, 1);
  auto a = rig.join(1, channel);
  auto b = rig.join(2, channel);
  CHECK(rig.speak(a).size() == 1);
  CHECK(rig.speak(b).empty());
  rig.command(SetChannelOptions{channel, 2, 120});
  CHECK(rig.speak(b).size() == 1);
  // Nobody loses the floor.
  rig.command(SetChannelOptions{channel, 1, 120});
  CHECK(rig.speak(a).size() == 1);
  CHECK(rig.speak(b).size() == 1);
  CHECK(rig.drops(DropReason::speakers) == 1);
  rig.command(SetChannelOptions{{channel.index, {channel.generation.value + 1}}, 2, 0});
  CHECK(rig.core.counters()[Counter::commands_outlived] == 1);
}
